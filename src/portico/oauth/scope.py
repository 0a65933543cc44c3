"""Scopes: parsing (RFC 6749 section 3.3), what a token carries, and what a challenge asks for."""

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final, cast

from portico.model.errors import InputError

MAX_SCOPE_CHARS: Final = 4096  #: of one ``scope`` parameter
OFFLINE_ACCESS: Final = "offline_access"

_SCOPE_TOKEN = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]+\Z")


def is_scope_token(text: str) -> bool:
    """Tell whether ``text`` is one scope-token (RFC 6749 section 3.3)."""
    return _SCOPE_TOKEN.match(text) is not None


def parse_scope(text: str) -> tuple[str, ...]:
    """Split a ``scope`` parameter; each scope once, in the order of the request.

    Raises:
        InputError: too long, or a character that no scope may hold.
    """
    if len(text) > MAX_SCOPE_CHARS:
        raise InputError(f"scope is longer than {MAX_SCOPE_CHARS} characters.")
    scopes = tuple(dict.fromkeys(part for part in text.split(" ") if part))
    if not all(is_scope_token(scope) for scope in scopes):
        raise InputError("scope holds a character that RFC 6749 section 3.3 does not allow.")
    return scopes


def scopes_of(claims: Mapping[str, Any]) -> frozenset[str]:
    """Return the scopes of a token's claims: ``scope`` or ``scp``, each a string or a list.

    RFC 9068 section 2.2.3 has ``scope`` as a string, Okta sends ``scp`` as a list, Entra ``scp`` as a string. What is
    neither grants nothing.
    """
    return frozenset((*_split(claims.get("scope")), *_split(claims.get("scp"))))


def advertised(scopes: Iterable[str]) -> tuple[str, ...]:
    """Return what a challenge or a resource's metadata may list.

    ``offline_access`` is the client's business with the authorization server, never a resource's (MCP authorization,
    "Refresh tokens"). What is no scope-token could not stand in a challenge.
    """
    return tuple(dict.fromkeys(s for s in scopes if s != OFFLINE_ACCESS and is_scope_token(s)))


def _split(value: object) -> list[str]:
    if isinstance(value, str):
        return [part for part in value.split(" ") if part]
    if isinstance(value, list):
        return [item for item in cast("list[object]", value) if isinstance(item, str)]
    return []
