"""The public documents of an issuer: its metadata and its keys, answered from memory."""

from typing import Any, Final

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from portico.issuer.powers import Powers
from portico.issuer.store import Issuer
from portico.oauth.metadata import DOCUMENTS_SUPPORTED

METADATA_SECONDS: Final = 300  #: seconds that a client may keep the metadata
BLIND_METADATA_SECONDS: Final = 30  #: while something is left out that comes back by itself
JWKS_SECONDS: Final = 60  #: seconds that others may keep the keys: so long a dropped key lives on elsewhere


async def authorization_server(powers: Powers, issuer: Issuer, _request: Request) -> Response:
    """Answer the RFC 8414 document."""
    return _metadata(powers, issuer.metadata)


async def openid(powers: Powers, issuer: Issuer, _request: Request) -> Response:
    """Answer the document at the OpenID location."""
    return _metadata(powers, issuer.openid_configuration)


async def jwks(_powers: Powers, issuer: Issuer, _request: Request) -> Response:
    """Answer the public keys: next, current and previous (RFC 7517)."""
    return _document(issuer.jwks, JWKS_SECONDS)


def _metadata(powers: Powers, body: bytes) -> Response:
    """Answer metadata that say what holds now: clients' documents are not offered where none can be fetched."""
    if not powers.outreach.blind:
        return _document(body, METADATA_SECONDS)
    members = msgspec.json.decode(body, type=dict[str, Any])
    members.pop(DOCUMENTS_SUPPORTED, None)
    return _document(msgspec.json.encode(members), BLIND_METADATA_SECONDS)


def _document(body: bytes, seconds: int) -> Response:
    return Response(body, media_type="application/json", headers={"cache-control": f"public, max-age={seconds}"})
