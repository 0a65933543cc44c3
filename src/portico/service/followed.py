"""What a process holds in memory of rows that others change: loaded at its start, read again when a counter says so."""

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Final

from portico.authorizer import access_keys
from portico.authorizer.access_keys import AccessKeys
from portico.authorizer.keys import OwnKeys
from portico.authorizer.revocations import Revocations
from portico.gateway import peers
from portico.gateway.endpoint import McpEndpoint
from portico.gateway.peers import Peers
from portico.gateway.session_ends import SessionEnds
from portico.gateway.store import Snapshots
from portico.identity import provider_store
from portico.identity.credentials import Credentials
from portico.issuer.app import IssuerApp
from portico.service.refresh import Reload
from portico.storage import ended_sessions

#: Kinds of scopes that are loaded beside the polls: a gateway may have thousands of targets.
SLOW: Final = frozenset({"gateway"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Followed:
    """The parts that follow counters."""

    snapshots: Snapshots
    issuers: IssuerApp
    own_keys: OwnKeys
    revocations: Revocations
    access_keys: AccessKeys
    credentials: Credentials
    peers: Peers
    session_ends: SessionEnds
    endpoint: McpEndpoint

    def reloads(self) -> Mapping[str, Reload]:
        """Return what reads again, by the first part of a counter's scope."""
        return {
            "gateway": self.snapshots.reload,
            "issuer": self._reload_issuers,
            "revocations": self._reload_revocations,
            ended_sessions.SCOPE: self._reload_ended_sessions,
            peers.SCOPE: self.peers.reload,
            access_keys.SCOPE: self._reload_access_keys,
            provider_store.SCOPE: self.credentials.reload,
        }

    async def load(self) -> None:
        """Read everything for the first time; note the counters before (:meth:`Refresher.start`).

        Raises:
            StorageUnavailable: the database cannot be read.
        """
        await self.snapshots.load_all()
        await self.own_keys.reload()
        await self.revocations.reload()
        await self.access_keys.reload()
        await self.credentials.load_all()
        await self.issuers.load_all()
        await self._reload_ended_sessions(frozenset())

    async def _reload_issuers(self, names: AbstractSet[str]) -> None:
        for name in names:
            await self.issuers.reload(name)
        await self.own_keys.reload()

    async def _reload_revocations(self, _scopes: AbstractSet[str]) -> None:
        await self.revocations.reload()

    async def _reload_access_keys(self, _scopes: AbstractSet[str]) -> None:
        await self.access_keys.reload()

    async def _reload_ended_sessions(self, _scopes: AbstractSet[str]) -> None:
        for ended in await self.session_ends.news():
            self.endpoint.session_ended(ended.number, expires_at=ended.expires_at)
