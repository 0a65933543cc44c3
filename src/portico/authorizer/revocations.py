"""Revocations in memory: what ends a live access token at the next poll of the counters, on every replica."""

import time
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Final, Protocol

from portico.storage import revocations
from portico.storage.engine import Database
from portico.storage.revocations import RevocationKind

#: Which claim names the thing that is revoked.
_CLAIMS: Final[tuple[tuple[RevocationKind, str], ...]] = (
    ("grant", "grant_id"),
    ("client", "client_id"),
    ("subject", "sub"),
)


class RevocationSource(Protocol):
    """Says what ended a token before its time; from memory."""

    def revoked_by(self, issuer: str, claims: Mapping[str, Any], /) -> str | None:
        """Return what was revoked, None when nothing was."""
        ...


class Revocations:
    """Every live revocation; a token is dead when it was issued at or before ``not_before`` of one that names it."""

    def __init__(self, database: Database, *, clock: Callable[[], float] = time.time) -> None:
        self._database = database
        self._clock = clock
        self._not_before: Mapping[tuple[RevocationKind, str, str], int] = MappingProxyType({})

    async def reload(self) -> None:
        """Read all of them again; on failure what was read before stays.

        Raises:
            StorageUnavailable: the database cannot be reached.
        """
        async with self._database.read() as conn:
            rows = await revocations.list_live(conn, int(self._clock()))
        fresh: dict[tuple[RevocationKind, str, str], int] = {}
        for row in rows:
            key = (row.kind, row.issuer, row.key)
            fresh[key] = max(row.not_before, fresh.get(key, row.not_before))
        self._not_before = fresh

    def refuses(self, issuer: str, claims: Mapping[str, Any]) -> bool:
        """Tell whether a token of ``issuer`` with these claims was revoked."""
        return self.revoked_by(issuer, claims) is not None

    def revoked_by(self, issuer: str, claims: Mapping[str, Any], /) -> RevocationKind | None:
        """Return what was revoked, None when nothing was. A token without ``iat`` counts as issued long ago."""
        if not self._not_before:
            return None
        issued_at: float = claims.get("iat", float("-inf"))
        for kind, claim in _CLAIMS:
            value = claims.get(claim)
            if isinstance(value, str):
                not_before = self._not_before.get((kind, issuer, value))
                if not_before is not None and issued_at <= not_before:
                    return kind
        return None
