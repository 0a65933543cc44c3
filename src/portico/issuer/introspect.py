"""``POST /introspect`` (RFC 7662): whether a token holds now, told to who may know.

That is the client that the token was issued to and, of access tokens, machines that an administrator gave the scope
:data:`INTROSPECTION_SCOPE`: resource servers. To everybody else every token looks like one that does not exist.
"""

import hmac
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response

from portico.issuer.access_tokens import own_token
from portico.issuer.clients import client_digest
from portico.issuer.powers import Powers
from portico.issuer.rendering import json_answer
from portico.issuer.store import Issuer
from portico.issuer.token import known_client, proven_client
from portico.model.errors import InvalidToken
from portico.oauth.access_token import AccessToken, check_time
from portico.oauth.client import Client
from portico.oauth.token import refused_client
from portico.web.forms import read_form

INTROSPECTION_SCOPE: Final = "portico/introspect"

_INACTIVE: Final = {"active": False}  # and nothing else: section 2.2


async def introspect(powers: Powers, issuer: Issuer, request: Request) -> Response:
    """Tell about a token.

    Raises:
        InvalidClient: the client did not prove itself; one without a secret cannot.
        StorageUnavailable: it cannot be known.
    """
    parameters = await read_form(request)
    parameters.no_repeats(but="")
    token = parameters.required("token")
    claimed = known_client(powers, issuer, request, parameters)
    client = await proven_client(powers, issuer, claimed)
    if not client.authenticates:
        raise refused_client()
    access = own_token(issuer, token)
    if access is not None:
        return json_answer(await _access(powers, issuer, client, access))
    return json_answer(await _refresh(powers, issuer, client, token))


async def _access(powers: Powers, issuer: Issuer, client: Client, access: AccessToken) -> dict[str, Any]:
    try:
        check_time(access, powers.clock())
    except InvalidToken:
        return _INACTIVE
    if not _may_know(client, access.client_id) or not await powers.ledger.is_live(issuer, access):
        return _INACTIVE
    told = ("iss", "aud", "sub", "client_id", "scope", "iat", "exp", "jti")
    return {"active": True, "token_type": "Bearer", **{name: access.claims[name] for name in told}}


async def _refresh(powers: Powers, issuer: Issuer, client: Client, token: str) -> dict[str, Any]:
    live = await powers.ledger.refresh_token(issuer, token)
    if live is None or not hmac.compare_digest(live.client_digest, client_digest(client.id)):
        return _INACTIVE
    return {
        "active": True,
        "iss": issuer.url,
        "sub": live.subject,
        "client_id": client.id,
        "scope": " ".join(live.scopes),
        "iat": live.issued_at,
        "exp": live.expires_at,
    }


def _may_know(client: Client, issued_to: str) -> bool:
    return client.id == issued_to or (client.kind == "machine" and INTROSPECTION_SCOPE in client.scopes)
