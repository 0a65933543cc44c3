"""Reading a target's tools with its own credential, as its calls are made."""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Protocol

from portico.control.outbound import credential_warnings
from portico.model.credential import Credential
from portico.model.errors import CredentialUnavailable
from portico.model.gateway import Era
from portico.model.target import Target
from portico.targets.discovery import Discovery

Read = Callable[[Target, Credential | None], Awaitable[Discovery]]


class CredentialSource(Protocol):
    """Where credentials come from: :class:`portico.identity.credentials.Credentials`."""

    async def credential_for(self, target: Target, *, fresh: bool = False) -> Credential | None:
        """Return what a target is called with."""
        ...

    async def renewed(self, target: Target, refused: Credential) -> Credential | None:
        """Return another credential than a refused one."""
        ...


class CredentialedDiscovery:
    """Discovers targets as the synchronization wants it: the credential is asked for first, and afresh."""

    def __init__(self, credentials: CredentialSource, read: Read) -> None:
        self._credentials = credentials
        self._read = read

    async def __call__(self, target: Target) -> Discovery:
        """Return what the target offers, or why its credential cannot be had.

        A token that the target refuses may have been revoked: it is fetched anew, once.

        Raises:
            StorageUnavailable: the provider cannot be read.
        """
        try:
            credential = await self._credentials.credential_for(target, fresh=True)
            found = await self._read(target, credential)
            if found.refused and credential is not None:
                other = await self._credentials.renewed(target, credential)
                found = found if other is None else await self._read(target, other)
        except CredentialUnavailable as error:
            found = Discovery(eras=(), reasons=(error.reason,), undecided=_undecided(target))
        warnings = credential_warnings(target.credential)
        return replace(found, reasons=(*found.reasons, *warnings)) if warnings else found


def _undecided(target: Target) -> frozenset[Era]:
    return frozenset[Era](("legacy", "modern") if target.era == "auto" else (target.era,))
