"""``POST /revoke`` (RFC 7009): a client gives back what it holds."""

from sqlalchemy.ext.asyncio import AsyncConnection
from starlette.requests import Request
from starlette.responses import Response

from portico.issuer.clients import find_client
from portico.issuer.powers import Powers
from portico.issuer.rendering import NO_STORE
from portico.issuer.store import Issuer
from portico.issuer.token import claimed_client
from portico.model.errors import InvalidToken, UnsupportedTokenType
from portico.oauth.access_token import AccessToken, read_access_token
from portico.oauth.client import Client
from portico.oauth.jwt import parse, verify
from portico.oauth.token import judge_client, token_digest
from portico.storage import grants, refresh_tokens, revocations
from portico.web.forms import read_form


async def revoke(powers: Powers, issuer: Issuer, request: Request) -> Response:
    """Revoke a refresh token or an access token, and with it the grant that it came from.

    Unknown tokens and those of other clients are answered alike and nothing happens to them (section 2.2).

    Raises:
        InvalidClient: the client did not prove itself.
        UnsupportedTokenType: a machine's access token; it has no grant and ends by itself.
        StorageUnavailable: nothing was revoked.
    """
    parameters = await read_form(request)
    parameters.no_repeats(but="")
    token = parameters.required("token")
    claimed = claimed_client(request, parameters)
    async with powers.database.write(shared=True) as conn:
        client = judge_client(claimed, await find_client(conn, powers.keyring, issuer.name, claimed.client_id))
        grant_id = await _grant_of(conn, issuer, client, token)
        if grant_id:
            await revocations.end_grant(conn, issuer.url, grant_id, int(powers.clock()))
    return Response(status_code=200, headers=NO_STORE)


async def _grant_of(conn: AsyncConnection, issuer: Issuer, client: Client, token: str) -> str:
    """Return the id of this client's grant that ``token`` came from, empty when there is none."""
    row = await refresh_tokens.find(conn, token_digest(token))
    if row is not None:
        return row.grant_id if (row.issuer, row.client_id) == (issuer.name, client.id) else ""
    access = _own_token(issuer, token)
    if access is None or access.client_id != client.id:
        return ""
    if client.kind == "machine":
        raise UnsupportedTokenType("Access tokens of machines cannot be revoked one by one; they end by themselves.")
    grant = await grants.get(conn, str(access.claims.get("grant_id", "")))
    return grant.id if grant is not None and (grant.issuer, grant.client_id) == (issuer.name, client.id) else ""


def _own_token(issuer: Issuer, token: str) -> AccessToken | None:
    """Return an access token that this issuer signed, expired or not."""
    try:
        unverified = parse(token.encode())
        key = issuer.verification_keys.get(unverified.kid)
        return None if key is None else read_access_token(verify(unverified, key), issuer=issuer.url, own=True)
    except InvalidToken:
        return None
