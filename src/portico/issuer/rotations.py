"""Rotating a sealed refresh token: one question to the provider, whatever a client does twice.

A client that lost an answer or refreshes twice at once gets the same successor again for :data:`GRACE_SECONDS`, as
long as nobody went on with it; any other second use is theft. What another replica did is known with a store only.
"""

import asyncio
import contextlib
from collections import OrderedDict
from dataclasses import dataclass
from typing import Final

import msgspec

from portico.crypto.keyring import MAX_SEALED_CHARS
from portico.issuer.redeem import Means
from portico.issuer.remembered import MAX_REMEMBERED, Remembered
from portico.issuer.sealed_tokens import OUTCOME, REFRESH, Outcome, SealedRefresh, seal, unseal
from portico.issuer.store import Issuer
from portico.model.errors import StorageUnavailable, Unavailable
from portico.model.oauth_errors import AccessDenied, InvalidGrant
from portico.model.secret import Secret
from portico.oauth.token import GRACE_SECONDS, token_digest
from portico.oauth.upstream import ProviderTokens

WAIT_SECONDS: Final = 15.0  #: for the replica that asks the provider
POLL_SECONDS: Final = 0.1  #: between looks at whether it has an answer
LIFE_SECONDS: Final = 24 * 3600  #: of a provider's access token of which it does not say more


@dataclass(slots=True)
class _Rotation:
    """One token that was used here."""

    task: asyncio.Task[Outcome | None]
    at: float  #: seconds since the epoch


class Rotations:
    """The refresh tokens that this process saw used a moment ago, by digest, with what came of them.

    What is older is known by its digest alone (:class:`Remembered`): the tokens of a provider are not kept longer than
    somebody may be given them again.
    """

    def __init__(self, means: Means, remembered: Remembered) -> None:
        self._means = means
        self._remembered = remembered
        self._seen: OrderedDict[str, _Rotation] = OrderedDict()

    async def rotate(self, issuer: Issuer, token: str, refresh: SealedRefresh) -> Outcome | None:
        """Return what comes of a refresh token, None when it was used before and somebody went on from there.

        Raises:
            InvalidGrant: the provider says that the login is over.
            OAuthError, Unavailable: it cannot be asked; the token stays good.
        """
        digest = token_digest(token)
        known = self._seen.get(digest)
        if known is None:
            known = self._begin(issuer, digest, refresh)
        elif self._means.clock() > known.at + GRACE_SECONDS:
            return None
        outcome = await asyncio.shield(known.task)
        if outcome is None or await self.was_used(outcome.refresh_token):
            return None
        return outcome

    async def was_used(self, token: str) -> bool:
        """Say whether a refresh token was used, as far as that is known here."""
        digest = token_digest(token)
        return digest in self._seen or await self._remembered.was_spent(digest)

    async def aclose(self) -> None:
        """Wait for the questions that are under way; each has its deadlines."""
        await asyncio.gather(*(known.task for known in self._seen.values()), return_exceptions=True)

    def _begin(self, issuer: Issuer, digest: str, refresh: SealedRefresh) -> _Rotation:
        # Whoever asked may go away; what the provider gave must not be lost with them.
        task = asyncio.create_task(self._use(issuer, digest, refresh), name="refresh at a provider")
        known = self._seen[digest] = _Rotation(task=task, at=self._means.clock())
        task.add_done_callback(lambda done: self._forget_failure(digest, done))
        self._forget_old()
        return known

    def _forget_old(self) -> None:
        over = self._means.clock() - GRACE_SECONDS
        while self._seen:
            oldest = next(iter(self._seen.values()))
            if len(self._seen) <= MAX_REMEMBERED and (oldest.at >= over or not oldest.task.done()):
                return
            self._seen.popitem(last=False)

    def _forget_failure(self, digest: str, done: "asyncio.Task[Outcome | None]") -> None:
        """A provider that could not be asked uses nothing up."""
        if done.cancelled() or done.exception() is not None:
            self._seen.pop(digest, None)

    async def _use(self, issuer: Issuer, digest: str, refresh: SealedRefresh) -> Outcome | None:
        if not await self._remembered.spend(digest, "refresh", refresh.expires_at):
            return await self._of_another_replica(issuer, digest)
        try:
            tokens = await self._ask(issuer, refresh)
        except InvalidGrant:
            raise
        except BaseException:
            await asyncio.shield(self._remembered.give_back(digest))
            raise
        now = int(self._means.clock())
        again = tokens.access_token if refresh.by_access_token else tokens.refresh_token
        successor = msgspec.structs.replace(
            refresh, token=again.reveal(), number=self._means.random(len(refresh.number)), issued_at=now
        )
        outcome = Outcome(
            refresh_token=seal(self._means, issuer, REFRESH, successor),
            access_token=tokens.access_token.reveal(),
            expires_at=now + tokens.expires_in,
        )
        if self._remembered.shared:
            # Without it other replicas say for a moment that they cannot tell; the person would have to log in again.
            with contextlib.suppress(StorageUnavailable):
                await self._remembered.keep_outcome(digest, seal(self._means, issuer, OUTCOME, outcome, of=digest))
        return outcome

    async def _ask(self, issuer: Issuer, refresh: SealedRefresh) -> ProviderTokens:
        provider, token = issuer.provider(refresh.connector), Secret(refresh.token)
        if not refresh.by_access_token:
            return await provider.refresh(token, scopes=refresh.scopes, resource=refresh.resource)
        try:
            await provider.verify(token)
        except AccessDenied as error:
            raise InvalidGrant("The account may not log in here any more.") from error
        return ProviderTokens(access_token=token, refresh_token=Secret(""), expires_in=LIFE_SECONDS, scope="")

    async def _of_another_replica(self, issuer: Issuer, digest: str) -> Outcome | None:
        """Wait for what another replica makes of a token, and return it while it may be given again."""
        loop = asyncio.get_running_loop()
        give_up = loop.time() + WAIT_SECONDS
        while loop.time() < give_up:
            row = await self._remembered.look_up(digest)
            if row is None or self._means.clock() > row.spent_at + GRACE_SECONDS:
                return None
            if row.outcome:
                return unseal(self._means, issuer, OUTCOME, row.outcome, Outcome, of=digest, max_chars=MAX_SEALED_CHARS)
            await asyncio.sleep(POLL_SECONDS)
        raise Unavailable("The identity provider is being asked by another replica; try again.")
