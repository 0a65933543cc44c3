"""Who may use the AgentCore API, and for what."""

from dataclasses import dataclass, field
from typing import Literal

Role = Literal["administrator", "operator", "reader"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """Who signed a request. Made only where the signature was verified."""

    access_key_id: str
    name: str
    role: Role
    gateways: frozenset[str] = field(default_factory=frozenset[str])  #: ids it is confined to; empty: all
