"""What a target was found to speak since it was synchronized, and for how long that counts.

Which era a call is sent in was decided when its gateway was compiled, from what the last synchronization found. A
server that was restarted with another era refuses such calls. Then the knowledge is *stale*: calls go in the era that
was found, a new synchronization is asked for, and both are forgotten after a while, for one bad hour of a server must
not be remembered for ever. A target has one credential at most, so that knowledge per target is per credential too.
"""

from collections.abc import Callable
from typing import Final

from portico.model.call import Answer
from portico.model.errors import UpstreamError
from portico.model.gateway import Era
from portico.targets.verdicts import OTHER

TURNED_SECONDS: Final = 300.0  #: seconds that a found era counts; the synchronization that was asked for comes before
SURE_SECONDS: Final = 60.0  #: seconds in which a doubt that was cleared is not looked into again


class Doubted(UpstreamError):
    """A call was turned away, undone, by what may not speak its era. Never leaves the package.

    ``outcome`` is what the caller hears when the doubt was wrong. ``denied`` says that there is no doubt.
    """

    def __init__(self, outcome: Answer | UpstreamError, *, denied: bool = False) -> None:
        super().__init__("The target may not speak this era any more.")
        self.outcome = outcome
        self.denied = denied

    def settle(self) -> Answer:
        """Return the answer of the doubted call.

        Raises:
            UpstreamError: that was its outcome.
        """
        if isinstance(self.outcome, UpstreamError):
            raise self.outcome
        return self.outcome


class EraKnowledge:
    """What is known of one target's eras beyond its last synchronization."""

    __slots__ = ("_clock", "_spoken", "_stale", "_sure", "_until")

    def __init__(self, *, clock: Callable[[], float], stale: Callable[[], None]) -> None:
        """Take what is called when a synchronization is due."""
        self._clock = clock
        self._stale = stale
        self._spoken: Era | None = None
        self._until = 0.0
        self._sure: dict[Era, float] = {}

    def era_for(self, era: Era) -> Era:
        """Return in which era to send a call that was compiled for ``era``."""
        if self._spoken is None:
            return era
        if self._clock() < self._until:
            return self._spoken
        self._spoken = None
        return era

    def is_sure(self, era: Era) -> bool:
        """Tell whether it was looked into lately that the target speaks ``era``."""
        return self._clock() < self._sure.get(era, 0.0)

    def affirm(self, era: Era) -> None:
        """Note that the target speaks ``era``, in spite of a doubt."""
        self._sure[era] = self._clock() + SURE_SECONDS

    def turn_from(self, era: Era) -> None:
        """Note that the target no longer speaks ``era``, but the other one."""
        self._spoken = OTHER[era]
        self._until = self._clock() + TURNED_SECONDS
        self._sure.pop(era, None)
        self._stale()
