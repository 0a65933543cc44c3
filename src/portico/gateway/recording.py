"""Every tool call becomes one audit record before its answer is sent, whatever became of it."""

import time
from collections.abc import Callable
from types import TracebackType
from typing import Final, Self

import msgspec

from portico.audit.journal import Journal
from portico.audit.record import CallRecord
from portico.gateway.catalog import ToolEntry
from portico.gateway.inflight import CallCancelled
from portico.model.call import Answer, Outcome
from portico.model.errors import (
    CredentialRefused,
    CredentialUnavailable,
    Forbidden,
    JournalFull,
    PorticoError,
    Unauthenticated,
)
from portico.model.principal import ANONYMOUS, Principal
from portico.protocol.errors import RpcRefused
from portico.protocol.naming import MAX_NAME_CHARS
from portico.web.asgi import ClientDisconnected

TOOLS_CALL: Final = "tools/call"
#: Refused calls of unproven callers that are recorded per second, and how many may come at once. Without a bound
#: anybody could fill the journal, and a full journal stops the calls of everybody.
UNPROVEN_PER_SECOND: Final = 50.0
UNPROVEN_BURST: Final = 1000.0


class CallFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a call before anything is judged."""

    request_id: str
    gateway: str
    target: str  #: of the endpoint, or as the name that was sent says; replaced by what the name resolves to
    tool: str
    era: str
    version: str
    principal: Principal


class Recorder:
    """Writes call records to the journal."""

    def __init__(self, journal: Journal, *, clock: Callable[[], float] = time.time) -> None:
        self._journal = journal
        self._clock = clock
        self._allowance = UNPROVEN_BURST
        self._allowed_at = clock()
        self.unrecorded = 0  #: refusals of unproven callers that were only counted

    def call(self, facts: CallFacts) -> "CallRecording":
        """Return a block that records one call when it ends.

        Raises:
            JournalFull: entering the block; a call that cannot be recorded is not made.
        """
        return CallRecording(self._journal, self._clock(), facts)

    def refused(self, facts: CallFacts, error: PorticoError) -> None:
        """Record a call that was refused before the pipeline; never raises, for the refusal stands anyhow."""
        if facts.principal is ANONYMOUS and not self._may_record_unproven():
            self.unrecorded += 1
            return
        try:
            CallRecording(self._journal, self._clock(), facts).write(*outcome_of(error), reason_of(error))
        except JournalFull:
            self.unrecorded += 1

    def _may_record_unproven(self) -> bool:
        now = self._clock()
        passed = max(now - self._allowed_at, 0.0)
        self._allowed_at = now
        self._allowance = min(self._allowance + passed * UNPROVEN_PER_SECOND, UNPROVEN_BURST)
        if self._allowance < 1.0:
            return False
        self._allowance -= 1.0
        return True


class CallRecording:
    """One call from its start to its record."""

    __slots__ = ("_began", "_code", "_facts", "_journal", "_outcome", "_target", "_time", "_tool")

    def __init__(self, journal: Journal, now: float, facts: CallFacts) -> None:
        self._journal = journal
        self._time = now
        self._facts = facts
        self._target = facts.target
        self._tool = facts.tool
        self._outcome: Outcome = "ok"
        self._code = ""
        self._began = time.monotonic()

    def resolved(self, tool: ToolEntry) -> None:
        """Note which tool the call is for, as its target calls it."""
        self._target, self._tool = tool.target, tool.tool

    def answered(self, answer: Answer) -> None:
        """Note what the target said."""
        if answer.error is not None:
            self._outcome, self._code = "protocol_error", str(answer.error.code)
        elif answer.is_error:
            self._outcome = "tool_error"

    def write(self, outcome: Outcome, code: str, reason: str = "") -> None:
        """Append the record.

        Raises:
            JournalFull: there is no room for it.
        """
        facts, caller = self._facts, self._facts.principal
        self._journal.append(
            CallRecord(
                time=self._time,
                request_id=facts.request_id,
                gateway=facts.gateway,
                target=self._target[:MAX_NAME_CHARS],
                tool=self._tool[:MAX_NAME_CHARS],
                method=TOOLS_CALL,
                era=facts.era,
                version=facts.version,
                issuer=caller.issuer,
                user=caller.subject if caller.kind in ("user", "aws") else "",
                client=caller.client_id,
                kind=caller.kind,
                outcome=outcome,
                code=code,
                duration_ms=round((time.monotonic() - self._began) * 1000, 3),
                reason=reason or msgspec.UNSET,
            )
        )

    def __enter__(self) -> Self:
        self._journal.ensure_room()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            self.write(self._outcome, self._code)
        else:
            self.write(*outcome_of(error), reason_of(error))


def reason_of(error: BaseException) -> str:
    """Return what an administrator has to know of a call that failed for its credential; it quotes no secret."""
    if isinstance(error, CredentialUnavailable | CredentialRefused):
        return f"{error.public} {error.reason}"
    return ""


def outcome_of(error: BaseException) -> tuple[Outcome, str]:
    """Return how a call that ended in ``error`` is recorded."""
    match error:
        case RpcRefused():
            return "protocol_error", str(error.rpc_code)
        case Unauthenticated() | Forbidden():
            return "denied", error.code
        case CallCancelled():
            return "cancelled", "disconnected" if error.disconnected else "cancelled"
        case ClientDisconnected():
            return "cancelled", "disconnected"
        case Exception():
            return "failed", getattr(error, "code", PorticoError.code)
        case _:  # CancelledError: we are shutting down
            return "cancelled", "shutdown"
