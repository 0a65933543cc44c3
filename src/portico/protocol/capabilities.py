"""What a client declared that it can do, held against what a server says it needs (MCP 2026-07-28, error -32021)."""

import msgspec
from msgspec import Raw


class _AnyObject(msgspec.Struct):
    """Any JSON object."""


class _Missing(msgspec.Struct):
    requiredCapabilities: dict[str, _AnyObject]  # noqa: N815 - the wire's name


class _MissingRaw(msgspec.Struct):
    requiredCapabilities: Raw  # noqa: N815 - the wire's name


_decode_missing = msgspec.json.Decoder(_Missing).decode
_decode_missing_raw = msgspec.json.Decoder(_MissingRaw).decode
_decode_declared = msgspec.json.Decoder(dict[str, _AnyObject]).decode


def missing_data(data: bytes) -> bytes | None:
    """Return the ``data`` of an error -32021 with nothing in it but what it must hold; None when it does not."""
    try:
        if not _decode_missing(data).requiredCapabilities:
            return None
        return msgspec.json.encode(_decode_missing_raw(data))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def lacks(declared: bytes | None, missing: bytes) -> bool:
    """Say whether a client has not declared some capability that the ``data`` of an error -32021 names.

    Only whole capabilities are compared. A client that declared one of them in part is told nothing about itself:
    what it could add would not help while we do not hand questions on.
    """
    try:
        has = {} if declared is None else _decode_declared(declared)
        return not _decode_missing(missing).requiredCapabilities.keys() <= has.keys()
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False
