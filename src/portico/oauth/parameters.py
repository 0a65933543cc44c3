"""Request parameters as OAuth reads them: each at most once, an empty one as if absent (RFC 6749 section 3.1)."""

import re
from dataclasses import dataclass
from typing import Final
from urllib.parse import unquote_to_bytes

from portico.model.oauth_errors import InvalidRequest

MAX_PARAMETERS: Final = 64  #: parameters of one request

_MALFORMED_ESCAPE = re.compile(rb"%(?![0-9A-Fa-f]{2})")


@dataclass(frozen=True, slots=True)
class Parameters:
    """The decoded pairs of a query or a form, in order, without the empty ones."""

    pairs: tuple[tuple[str, str], ...]

    @classmethod
    def parse(cls, text: bytes) -> "Parameters":
        """Read ``application/x-www-form-urlencoded`` text.

        Raises:
            InvalidRequest: too many parameters, a malformed escape, no UTF-8, or a NUL character.
        """
        parts = [part for part in text.split(b"&", MAX_PARAMETERS + 1) if part]
        if len(parts) > MAX_PARAMETERS:
            raise InvalidRequest(f"The request has more than {MAX_PARAMETERS} parameters.")
        pairs = [(_decode(name), _decode(value)) for name, _, value in (part.partition(b"=") for part in parts)]
        return cls(tuple((name, value) for name, value in pairs if value))

    def one(self, name: str) -> str:
        """Return the value of ``name``, empty when it was not sent.

        Raises:
            InvalidRequest: it was sent more than once.
        """
        found = self.every(name)
        if len(found) > 1:
            raise InvalidRequest(f"The parameter {name} was sent more than once; send it once.")
        return found[0] if found else ""

    def required(self, name: str) -> str:
        """Return the value of ``name``.

        Raises:
            InvalidRequest: it was not sent, or more than once.
        """
        value = self.one(name)
        if not value:
            raise InvalidRequest(f"The parameter {name} is missing.")
        return value

    def every(self, name: str) -> tuple[str, ...]:
        """Return every value of ``name``: the one parameter that may be repeated is ``resource`` (RFC 8707)."""
        return tuple(value for key, value in self.pairs if key == name)

    def no_repeats(self, *, but: str) -> None:
        """Check that nothing was sent twice, also what nobody reads (RFC 6749 section 3.2).

        Raises:
            InvalidRequest: a parameter other than ``but`` was sent more than once.
        """
        for name in {key for key, _ in self.pairs if key != but}:
            self.one(name)


def _decode(text: bytes) -> str:
    if _MALFORMED_ESCAPE.search(text):
        raise InvalidRequest("A parameter has a malformed percent escape.")
    value = unquote_to_bytes(text.replace(b"+", b" "))
    if b"\0" in value:  # no name, code or URL has one, and PostgreSQL cannot even be asked for it
        raise InvalidRequest("A parameter holds a NUL character.")
    try:
        return value.decode()
    except UnicodeDecodeError as error:
        raise InvalidRequest("A parameter is not UTF-8.") from error
