"""Signed JWTs (RFC 7515, RFC 7519): parsing is one function, trusting another.

:func:`parse` judges the form and reads the header, which says which key to look for. :func:`verify` checks the
signature with that key, and only then reads the claims. Where a token points for its own key (``jku``, ``x5u``,
``x5c``) is never read; one that brings it along (``jwk``) is refused.
"""

import base64
import binascii
import re
from dataclasses import dataclass
from typing import Any, Final

from cryptography.exceptions import UnsupportedAlgorithm
from joserfc.errors import JoseError
from joserfc.jws import JWSRegistry

from portico.model.errors import InvalidToken
from portico.oauth.jwk import ALGORITHMS, VerificationKey
from portico.oauth.strict_json import parse_object

MAX_TOKEN_BYTES: Final = 16 * 1024  #: longer ones are not even split
MAX_HINTED_CHARS: Final = 200  #: of a value out of a token that a hint quotes

_COMPACT = re.compile(rb"([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)\Z")


@dataclass(frozen=True, slots=True, kw_only=True)
class UnverifiedToken:
    """A token whose form is right. Nothing in it is to be believed."""

    alg: str
    kid: str  #: empty when the header names none
    typ: str  #: lower case; empty when the header names none
    signing_input: bytes
    signature: bytes
    unverified_payload: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifiedToken:
    """What an issuer's key signed. Made by :func:`verify` only; whether it still holds and for whom is not judged."""

    key: VerificationKey
    typ: str
    claims: dict[str, Any]


def refused(hint: str) -> InvalidToken:
    """Return the one answer to any bad token; why goes to the log and, in debug mode, to the caller."""
    return InvalidToken("The access token is not valid here.", detail=hint, debug_hint=hint)


def quoted(value: object) -> str:
    """Return a value out of a token as a hint may show it."""
    text = value if isinstance(value, str) else repr(value)
    return f"'{text[:MAX_HINTED_CHARS]}'" + ("..." if len(text) > MAX_HINTED_CHARS else "")


def parse(token: bytes) -> UnverifiedToken:
    """Split a compact JWS and read its header (RFC 7515 section 5.2).

    Raises:
        InvalidToken: any deviation from the canonical form, or a header that asks for something we do not do.
    """
    if len(token) > MAX_TOKEN_BYTES:
        raise refused(f"The token is longer than {MAX_TOKEN_BYTES} bytes.")
    found = _COMPACT.match(token)
    if found is None:
        raise refused("The token is not a signed JWT of three base64url parts; opaque tokens do not work here.")
    header = _read(found[1], "header")
    if "crit" in header or header.get("b64", True) is not True:  # RFC 7515 section 4.1.11, RFC 7797
        raise refused("The token's header has critical extensions (crit, b64), which are not supported.")
    if "jwk" in header:
        raise refused("The token brings its own key (jwk); keys come from the issuer only.")
    alg, kid, typ = header.get("alg"), header.get("kid", ""), header.get("typ", "")
    if not (isinstance(alg, str) and isinstance(kid, str) and isinstance(typ, str)):
        raise refused("alg, kid and typ in the token's header must be strings.")
    if alg not in ALGORITHMS:
        raise refused(f"The token's algorithm {quoted(alg)} is not accepted; use ES256 or RS256.")
    return UnverifiedToken(
        alg=alg,
        kid=kid,
        typ=typ.lower(),  # RFC 7515 section 4.1.9: a media type, compared without case
        signing_input=token[: found.start(3) - 1],
        signature=_decode(found[3], "signature"),
        unverified_payload=_decode(found[2], "payload"),
    )


def verify(unverified: UnverifiedToken, key: VerificationKey) -> VerifiedToken:
    """Check the signature, then read the claims.

    Raises:
        InvalidToken: the key is not for this algorithm, the signature is wrong, or the claims are no clean JSON.
    """
    if unverified.alg not in key.algorithms:  # RFC 8725 section 3.1
        raise refused(f"The token's algorithm {quoted(unverified.alg)} is not one of its key.")
    algorithm = JWSRegistry.algorithms[unverified.alg]
    try:
        algorithm.check_key(key.key)
        genuine = algorithm.verify(unverified.signing_input, unverified.signature, key.key)
    except (JoseError, UnsupportedAlgorithm, ValueError, TypeError, OverflowError) as error:
        raise refused("The token's signature cannot be checked.") from error
    if not genuine:
        raise refused("The token's signature is wrong.")
    return VerifiedToken(key=key, typ=unverified.typ, claims=_object(unverified.unverified_payload, "payload"))


def _read(segment: bytes, part: str) -> dict[str, Any]:
    return _object(_decode(segment, part), part)


def _object(text: bytes, part: str) -> dict[str, Any]:
    try:
        return parse_object(text)
    except ValueError as error:
        raise refused(f"The token's {part} is not a clean JSON object.") from error


def _decode(segment: bytes, part: str) -> bytes:
    """RFC 7515 section 2: no padding, and no two spellings of the same bytes."""
    try:
        raw = base64.b64decode(segment + b"=" * (-len(segment) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError) as error:
        raise refused(f"The token's {part} is not base64url.") from error
    if base64.urlsafe_b64encode(raw).rstrip(b"=") != segment:
        raise refused(f"The token's {part} is not canonical base64url.")
    return raw
