"""The public documents of an issuer: its metadata and its keys, answered from memory."""

from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from portico.issuer.powers import Powers
from portico.issuer.store import Issuer

METADATA_SECONDS: Final = 300  #: seconds that a client may keep the metadata
JWKS_SECONDS: Final = 60  #: seconds that others may keep the keys: so long a dropped key lives on elsewhere


async def authorization_server(_powers: Powers, issuer: Issuer, _request: Request) -> Response:
    """Answer the RFC 8414 document."""
    return _document(issuer.metadata, METADATA_SECONDS)


async def openid(_powers: Powers, issuer: Issuer, _request: Request) -> Response:
    """Answer the document at the OpenID location."""
    return _document(issuer.openid_configuration, METADATA_SECONDS)


async def jwks(_powers: Powers, issuer: Issuer, _request: Request) -> Response:
    """Answer the public keys: next, current and previous (RFC 7517)."""
    return _document(issuer.jwks, JWKS_SECONDS)


def _document(body: bytes, seconds: int) -> Response:
    return Response(body, media_type="application/json", headers={"cache-control": f"public, max-age={seconds}"})
