"""The head of an outgoing request, as bytes that cannot be split into two requests."""

import re
from collections.abc import Sequence
from typing import Final

import msgspec

from portico.model.errors import InputError

MAX_KNOWN_NAMES: Final = 1024  #: header names that are remembered as well-formed

#: What frames a message or belongs to one hop is the relay's alone (RFC 9110 section 7.6.1, RFC 9112 section 6).
OWNED: Final = frozenset(
    (
        b"host",
        b"content-length",
        b"transfer-encoding",
        b"connection",
        b"keep-alive",
        b"proxy-connection",
        b"proxy-authorization",
        b"proxy-authenticate",
        b"te",
        b"trailer",
        b"upgrade",
        b"expect",
        b"accept-encoding",
    )
)
METHODS: Final = frozenset((b"GET", b"POST", b"PUT", b"PATCH", b"DELETE", b"OPTIONS"))
_WITHOUT_BODY: Final = frozenset((b"GET", b"DELETE", b"OPTIONS"))

_TOKEN = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+\Z")  # RFC 9110 section 5.6.2
_PATH = re.compile(rb"/[!-\"$-~]*\Z")  # origin-form without a fragment (RFC 9112 section 3.2.1)
_CONTROLS = bytes(set(range(32)) - {9} | {127})


class PreparedHead(msgspec.Struct, frozen=True):
    """The part of a head that is the same for many requests: checked and written once."""

    method: bytes
    lines: bytes  #: from the request line on, without the last line end
    headers: tuple[tuple[bytes, bytes], ...]


class HeadWriter:
    """Writes request heads; remembers which header names it has found well-formed."""

    def __init__(self) -> None:
        self._known: set[bytes] = set()

    def prepare(
        self, method: bytes, path: bytes, authority: bytes, headers: Sequence[tuple[bytes, bytes]]
    ) -> PreparedHead:
        """Check and write what every request of a kind begins with.

        Raises:
            InputError: a method, path, header name or value that could be read as more than it is
                (request splitting and smuggling, CWE-93, CWE-444).
        """
        if method not in METHODS or _PATH.match(path) is None:
            raise InputError("The request's method or path cannot be sent.", detail=f"{method!r} {path!r}")
        first = b"%b %b HTTP/1.1\r\nhost: %b\r\naccept-encoding: identity" % (method, path, authority)
        # Exactly our own two line ends may be control characters.
        if len(first.translate(None, _CONTROLS)) != len(first) - 4:
            raise InputError("The request's authority cannot be sent.", detail=repr(authority))
        return PreparedHead(method, first + self._lines(headers), tuple(headers))

    def finish(self, head: PreparedHead, extra: Sequence[tuple[bytes, bytes]], length: int) -> bytes:
        """Return a whole head with ``extra`` headers, for a body of ``length`` bytes.

        Raises:
            InputError: see :meth:`prepare`.
        """
        lines = head.lines + self._lines(extra) if extra else head.lines
        if length or head.method not in _WITHOUT_BODY:
            return b"%b\r\ncontent-length: %d\r\n\r\n" % (lines, length)
        return lines + b"\r\n\r\n"

    def _lines(self, headers: Sequence[tuple[bytes, bytes]]) -> bytes:
        known = self._known
        lines: list[bytes] = [b""]
        for name, value in headers:
            if name not in known:
                self._learn(name)
            lines.append(name + b": " + value)
        written = b"\r\n".join(lines)
        if len(written.translate(None, _CONTROLS)) != len(written) - 2 * (len(lines) - 1):
            raise InputError("A header value holds a control character.", detail=_first_bad(headers))
        return written

    def _learn(self, name: bytes) -> None:
        if _TOKEN.match(name) is None or name.lower() in OWNED:
            raise InputError("A header name cannot be sent.", detail=repr(name[:100]))
        if len(self._known) < MAX_KNOWN_NAMES:
            self._known.add(name)


def _first_bad(headers: Sequence[tuple[bytes, bytes]]) -> str:
    return next((repr(name) for name, value in headers if len(value.translate(None, _CONTROLS)) != len(value)), "")
