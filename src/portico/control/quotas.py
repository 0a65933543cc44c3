"""How much of everything there may be: settings ``quotas.*``, with AWS's numbers as defaults."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Quotas:
    """The bounds that operations enforce."""
