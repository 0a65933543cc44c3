"""A fault as it was met on the way to one server, and how a judge reports it."""

from dataclasses import dataclass

from portico.cli.doctor.faults import FAULTS, Fault


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """A fault as it was met."""

    fault: Fault
    seen: str  #: the facts of this server
    advice: str = ""  #: what of the fix is special to these facts

    @property
    def fix(self) -> str:
        """The way out, what is special first."""
        return f"{self.advice} {self.fault.fix}".strip()


class FaultFound(Exception):  # named by what happened, like the errors of the model
    """A judge found why a client cannot go on."""

    def __init__(self, fault: str, seen: str, *, advice: str = "") -> None:
        self.finding = Finding(fault=FAULTS[fault], seen=seen, advice=advice)
        super().__init__(f"{fault}: {seen}")
