"""Refusals of the upstream server, told again as ours, so that clients come back to our issuer.

A challenge that passed unchanged would send clients to the provider that they cannot use (discovery, RFC 9728 section
5.1), so it is read, and written anew with the same meaning. Nothing in it is believed: it is another server's text.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from portico.model.errors import InsufficientScope, InvalidToken, PorticoError
from portico.oauth.challenge import bearer_challenge
from portico.oauth.scope import parse_scope

MAX_CHALLENGE_BYTES: Final = 8 * 1024  #: of all of an answer's challenges; what is longer says nothing
REFUSED: Final = "The MCP server did not accept the token; log in again."
FORBADE: Final = "The MCP server does not allow this."

_UNAUTHORIZED: Final = 401
_FORBIDDEN: Final = 403
#: One ``name=value`` or one bare word; schemes are bare words (RFC 9110 section 11.6.1). It never steps back.
_ITEM = re.compile(
    r"[ \t,]*+(?:(?P<name>[!#$%&'*+.^_`|~0-9A-Za-z-]++)[ \t]*+=[ \t]*+"
    r'(?:"(?P<quoted>(?:[^"\\]|\\.)*+)"|(?P<plain>[^\s,"=]++))(?=[ \t,]|\Z)'
    r"|(?P<word>[^\s,]++))"
)
_ESCAPED = re.compile(r"\\(.)")


def read_bearer(values: Iterable[bytes]) -> dict[str, str] | None:
    """Return the fields of the first ``Bearer`` challenge, names in lower case; None when there is none."""
    text = ", ".join(value.decode("latin-1") for value in values)
    if len(text) > MAX_CHALLENGE_BYTES:
        return None
    fields: dict[str, str] | None = None
    end = 0
    while (found := _ITEM.match(text, end)) is not None:
        end = found.end()
        word = found["word"]
        if word is not None:
            if fields is not None:
                break  # the next challenge begins
            fields = {} if word.lower() == "bearer" else None
        elif fields is not None:
            value = found["plain"] if found["quoted"] is None else _ESCAPED.sub(r"\1", found["quoted"])
            fields.setdefault(found["name"].lower(), value)
    return fields


class Challenges:
    """Writes challenges that name our own metadata."""

    def __init__(
        self, *, resource_metadata: str, scopes: Sequence[str], scope_names: Mapping[str, str] | None = None
    ) -> None:
        """Take where our metadata stands, our scopes, and what the upstream server's scopes are called here."""
        self._resource_metadata = resource_metadata
        self._scopes = tuple(scopes)
        self._names = {**(scope_names or {}), **{scope: scope for scope in scopes}}

    def of(self, error: PorticoError) -> bytes:
        """Return the challenge for a refusal of our own."""
        return bearer_challenge(error, resource_metadata=self._resource_metadata, scopes=self._scopes)

    def rewritten(self, status: int, values: Sequence[bytes]) -> bytes | None:
        """Return the one challenge of an answer whose upstream challenges are ``values``; None when it needs none."""
        unverified = read_bearer(values)
        if status == _UNAUTHORIZED:
            fields = unverified or {}
            return self._write(InvalidToken(fields.get("error_description") or REFUSED), fields)
        if status == _FORBIDDEN and unverified is not None and unverified.get("error") == "insufficient_scope":
            return self._write(InsufficientScope(unverified.get("error_description") or FORBADE), unverified)
        return None

    def _write(self, error: PorticoError, unverified: Mapping[str, str]) -> bytes:
        """Ask for the scopes that the server named, as far as they are ours; else for all of ours."""
        try:
            asked = parse_scope(unverified.get("scope", ""))
        except PorticoError:
            asked = ()
        known = tuple(dict.fromkeys(self._names[scope] for scope in asked if scope in self._names))
        return bearer_challenge(error, resource_metadata=self._resource_metadata, scopes=known or self._scopes)
