"""Telling people's providers that a grant is over (RFC 7009), so that what we were given there opens nothing any more.

Whoever revokes a grant writes a row and waits for nobody: a client at ``/revoke``, an administrator whose command line
may have no way to the provider, a code that was used twice. The job of the issuer finds the grants whose providers were
not told yet, and tells each as well as it can: a provider that is down is told again, later and later, for a day.
"""

import asyncio
from typing import Final

import msgspec
import structlog
from sqlalchemy.ext.asyncio import AsyncConnection

from portico.issuer.recheck import open_login
from portico.issuer.redeem import Means
from portico.issuer.store import Issuer, IssuerSource
from portico.model.errors import Forbidden, KeysUnavailable, SealError
from portico.model.secret import Secret
from portico.storage import grants
from portico.storage.engine import Database
from portico.storage.grants import GrantRow

AT_ONCE: Final = 4  #: providers' answers that one issuer waits for
BUSY_SECONDS: Final = 1.0  #: until the next look, when this process is telling already
BUDGET_SECONDS: Final = 60.0  #: of one run; it stays within the lease of a job
LEASE_SECONDS: Final = 30  #: longer than a provider is waited for
FIRST_PAUSE_SECONDS: Final = 10  #: after the first failure
LONGEST_PAUSE_SECONDS: Final = 3600
GIVE_UP_SECONDS: Final = 24 * 3600  #: after the end of the grant; then the token is forgotten all the same

_log = structlog.stdlib.get_logger("portico.issuer")


class Farewells:
    """Tells providers, for every issuer of a database."""

    def __init__(self, database: Database, means: Means, issuers: IssuerSource) -> None:
        self._database = database
        self._means = means
        self._issuers = issuers
        self._telling: set[str] = set()

    async def tell(self, name: str) -> float | None:
        """Tell the providers of an issuer; return after how many seconds there is more to do, None when all is done.

        Raises:
            StorageUnavailable: what was done could not be kept; it is done again.
        """
        if name in self._telling:  # a provider that hangs must not take up every place for jobs
            return BUSY_SECONDS
        self._telling.add(name)
        try:
            return await self._tell(name)
        finally:
            self._telling.discard(name)

    async def _tell(self, name: str) -> float | None:
        issuer = self._issuers.get(name)
        if issuer is None:  # gone, and the way to its providers with it
            async with self._database.write(shared=True) as conn:
                await grants.forget_untold(conn, name)
            return None
        loop = asyncio.get_running_loop()
        until = loop.time() + BUDGET_SECONDS
        while loop.time() < until:
            if not await self._some(issuer):
                return await self._pause(name)
        return 0.0

    async def _some(self, issuer: Issuer) -> bool:
        """Tell about a few grants at once; False when there was none to be told about now."""
        now = int(self._means.clock())
        lease = now + LEASE_SECONDS
        async with self._database.write(shared=True) as conn:
            taken = await grants.take_untold(conn, issuer.name, now, lease, AT_ONCE)
            staying = {grant.subject for grant in taken if await _has_others(conn, grant, now)}
        if not taken:
            return False
        async with asyncio.TaskGroup() as group:
            tasks = {
                grant.id: group.create_task(self._settles(issuer, grant, stays=grant.subject in staying))
                for grant in taken
            }
        settled = {grant_id for grant_id, task in tasks.items() if task.result()}
        async with self._database.write(shared=True) as conn:
            await grants.forget_untold(conn, issuer.name, settled)
            for grant in taken:
                if grant.id not in settled:
                    await grants.put_off(conn, grant.id, lease, now + _pause_after(grant, now))
        return True

    async def _pause(self, name: str) -> float | None:
        async with self._database.read() as conn:
            due = await grants.next_untold(conn, name)
        return None if due is None else max(1.0, due - self._means.clock())

    async def _settles(self, issuer: Issuer, grant: GrantRow, *, stays: bool) -> bool:
        """Tell about one grant; False when it shall be tried again. ``stays``: the person has other logins there."""
        try:
            login = open_login(self._means, grant)
            provider = issuer.provider(login.connector)
        except (SealError, msgspec.DecodeError, Forbidden) as error:  # the key was dropped, or the connector
            return _never(grant, str(error))
        except KeysUnavailable as error:
            return self._is_late(grant) and _never(grant, str(error))
        if provider.settings.rules_digest() != login.rules:  # it may be another provider by now
            return _never(grant, "the connector was changed")
        if not login.refresh_token or (stays and provider.ends_all):
            return True
        if await provider.revoke(Secret(login.refresh_token)):
            return True
        return self._is_late(grant) and _never(grant, "it cannot be reached")

    def _is_late(self, grant: GrantRow) -> bool:
        return self._means.clock() > (grant.revoked_at or 0) + GIVE_UP_SECONDS


async def _has_others(conn: AsyncConnection, grant: GrantRow, now: int) -> bool:
    """Say whether a person has other living grants that the provider is asked about."""
    living = await grants.list_all(conn, issuer=grant.issuer, subject=grant.subject, live_at=now)
    return any(one.upstream for one in living)


def _never(grant: GrantRow, reason: str) -> bool:
    """Say in the log why a provider does not learn of the end of a grant."""
    _log.warning("provider_never_told", issuer=grant.issuer, grant=grant.id, detail=reason)
    return True


def _pause_after(grant: GrantRow, now: int) -> int:
    """Return the seconds until the next attempt: as many as passed since the grant ended, within bounds."""
    return max(FIRST_PAUSE_SECONDS, min(now - (grant.revoked_at or now), LONGEST_PAUSE_SECONDS))
