"""``POST /register`` (RFC 7591): anonymous, without a row, without a secret."""

from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from portico.issuer.clients import seal_client
from portico.issuer.people import address_of
from portico.issuer.powers import Powers
from portico.issuer.rendering import json_answer
from portico.issuer.store import Issuer
from portico.model.errors import LimitExceeded, UnsupportedMedia
from portico.oauth.registration import MAX_BODY_BYTES, judge_registration, registration_document
from portico.web.asgi import media_type, read_body

BURST: Final = 60  #: registrations at once from one address
PER_SECOND: Final = 0.5  #: registrations that an address may do for ever


async def register(powers: Powers, issuer: Issuer, request: Request) -> Response:
    """Register a public client: its id holds its redirect URIs and name, sealed for this issuer.

    Raises:
        OAuthError: ``invalid_client_metadata`` or ``invalid_redirect_uri``.
        TooLarge, UnsupportedMedia: the body is not what is read here.
        LimitExceeded: too many registrations from this address.
    """
    wait = powers.registrations.take(address_of(request), powers.clock())
    if wait > 0:
        raise LimitExceeded("Too many registrations from this address.", retry_after=wait)
    if media_type(request.scope) != b"application/json":
        raise UnsupportedMedia("Send the registration as application/json.")
    body = await read_body(request.receive, MAX_BODY_BYTES)
    registration = judge_registration(body, issuer.settings, powers.clock())
    client_id = seal_client(powers.keyring, issuer, registration.plaintext(), random=powers.random)
    return json_answer(registration_document(registration, client_id, issuer.settings), status=201)
