"""AWS Signature Version 4 (SigV4): the steps of "Create a signed AWS API request" (IAM user guide), without I/O.

A request is taken as it came in: path and query still percent-encoded, header values as bytes. Of AWS's spellings
this is the one of every service but S3: the canonical URI is the path as sent with each byte encoded once more, so a
``%2F`` in it is signed as ``%252F``. AWS's text has the client put the path in order first (``//``, ``.``, ``..``).
We do not repeat that: a path that is not in order would have the signature of another one, so it matches none.
"""

import hmac
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Final
from urllib.parse import quote, unquote_to_bytes

ALGORITHM: Final = "AWS4-HMAC-SHA256"
TERMINATOR: Final = "aws4_request"


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedRequest:
    """What of a request the signature covers, apart from its body."""

    method: str
    raw_path: bytes  #: as sent, percent-encoded, without the query
    query: bytes  #: as sent, without the question mark
    headers: Sequence[tuple[bytes, bytes]]  #: names in lower case

    def values(self, name: bytes) -> list[bytes]:
        """Return every value of the header ``name``, in order."""
        return [value for key, value in self.headers if key == name]


@dataclass(frozen=True, slots=True, kw_only=True)
class CredentialScope:
    """What a signature is good for: one day, one region, one service."""

    date: str  #: YYYYMMDD
    region: str
    service: str

    def __str__(self) -> str:
        return f"{self.date}/{self.region}/{self.service}/{TERMINATOR}"


def canonical_request(request: SignedRequest, signed_headers: Iterable[str], payload_hash: str) -> bytes:
    """Return the request in the one form that both sides hash; ``signed_headers`` are sorted, in lower case."""
    names = [name.encode() for name in signed_headers]
    parts = [
        request.method.upper().encode(),
        _canonical_uri(request.raw_path),
        _canonical_query(request.query),
        *(name + b":" + _canonical_value(request.values(name)) for name in names),
        b"",
        b";".join(names),
        payload_hash.encode(),
    ]
    return b"\n".join(parts)


def string_to_sign(timestamp: str, scope: CredentialScope, canonical: bytes) -> bytes:
    """Return what is signed; ``timestamp`` is ``YYYYMMDD'T'HHMMSS'Z'``."""
    return f"{ALGORITHM}\n{timestamp}\n{scope}\n{sha256(canonical).hexdigest()}".encode()


def signing_key(secret: str, scope: CredentialScope) -> bytes:
    """Derive the key of one scope from a secret access key."""
    key = f"AWS4{secret}".encode()
    for part in (scope.date, scope.region, scope.service, TERMINATOR):
        key = hmac.digest(key, part.encode(), "sha256")
    return key


def signature(key: bytes, text: bytes) -> str:
    """Sign ``text`` with a key of :func:`signing_key`: 64 lower-case hex digits."""
    return hmac.digest(key, text, "sha256").hex()


def _canonical_uri(raw_path: bytes) -> bytes:
    return _encoded(raw_path, keep="/") or b"/"


def _canonical_query(query: bytes) -> bytes:
    if not query:
        return b""
    pairs = [pair.partition(b"=") for pair in query.replace(b"+", b"%20").split(b"&")]  # a plus is read as a space
    encoded = sorted((_encoded(unquote_to_bytes(name)), _encoded(unquote_to_bytes(value))) for name, _, value in pairs)
    return b"&".join(name + b"=" + value for name, value in encoded)


def _canonical_value(values: Iterable[bytes]) -> bytes:
    return b",".join(b" ".join(value.split()) for value in values)


def _encoded(text: bytes, *, keep: str = "") -> bytes:
    """Percent-encode everything but RFC 3986's unreserved characters and ``keep``."""
    return quote(text, safe=keep).encode()
