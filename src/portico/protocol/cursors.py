"""Opaque list cursors: the name after which a page begins, with a check value.

The list is sorted, so a cursor survives a reload of the gateway and works on every replica. It holds nothing secret
and grants nothing (a page is filtered like every other), so the check value is an unkeyed digest over the name and
the list it belongs to: it finds damage and cursors of another list, which are answered with -32602.
"""

import base64
import binascii
from hashlib import sha256
from typing import Final

from portico.protocol.errors import INVALID_PARAMS, RpcRefused

_CHECK_BYTES: Final = 8
MAX_CURSOR_CHARS: Final = 2048


def encode(scope: str, after: str) -> str:
    """Return the cursor of the page of list ``scope`` that follows the name ``after``."""
    return base64.urlsafe_b64encode(_check(scope, after) + after.encode()).rstrip(b"=").decode()


def decode(scope: str, cursor: str) -> str:
    """Return the name after which the page begins.

    Raises:
        RpcRefused: -32602; the cursor is damaged or of another list.
    """
    if len(cursor) <= MAX_CURSOR_CHARS:
        try:
            raw = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
            after = raw[_CHECK_BYTES:].decode()
        except (binascii.Error, UnicodeDecodeError, ValueError):
            after = ""
        if after and cursor == encode(scope, after):
            return after
    raise RpcRefused(INVALID_PARAMS, "The cursor is not valid here; list again from the first page without a cursor.")


def _check(scope: str, after: str) -> bytes:
    return sha256(f"cursor\n{scope}\n{after}".encode()).digest()[:_CHECK_BYTES]
