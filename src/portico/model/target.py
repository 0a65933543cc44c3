"""A target (a named source of tools) and its tools, as the data plane sees them."""

from dataclasses import dataclass
from typing import Literal

from portico.model.credential import CredentialUse
from portico.model.gateway import Era

EraSetting = Literal["auto", "legacy", "modern"]


@dataclass(frozen=True, slots=True, kw_only=True)
class McpServer:
    """``targetConfiguration.mcp.mcpServer``: an MCP server spoken to over Streamable HTTP."""

    endpoint: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Tool:
    """One tool as its target describes it. ``definition`` is the target's own JSON object, re-encoded."""

    name: str  #: as the target names it, without our prefix
    definition: bytes  #: JSON object, UTF-8


@dataclass(frozen=True, slots=True, kw_only=True)
class EraTools:
    """What a target offered in one era when it was last synchronized."""

    era: Era
    version: str  #: the protocol revision that was negotiated
    tools: tuple[Tool, ...]
    ttl_ms: int | None = None  #: how long a client may keep the list, in milliseconds; None: the target cannot say
    public: bool = False  #: the target says that its list is the same for everybody


@dataclass(frozen=True, slots=True, kw_only=True)
class Propagation:
    """``metadataConfiguration``: what of a caller's request a target is handed, and what of its answer comes back."""

    request_headers: frozenset[bytes] = frozenset()  #: names in lower case
    response_headers: frozenset[bytes] = frozenset()
    query_parameters: frozenset[str] = frozenset()  #: names as they stand


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A named source of tools behind a gateway."""

    id: str
    name: str
    gateway_id: str
    kind: McpServer
    credential: CredentialUse | None = None  #: what it is called with; None for nothing
    propagation: Propagation = Propagation()
    live_lists: bool = False  #: listingMode DYNAMIC: nothing is read beforehand, lists are asked for when a client asks
    era: EraSetting = "auto"
    connect_timeout: float = 5.0  #: seconds
    call_timeout: float = 60.0  #: seconds for a whole call, streams included
    idle_timeout: float = 60.0  #: seconds without a byte of an answer that has begun
    max_concurrency: int = 100  #: calls in flight; the next is refused, so that one target cannot starve others
    max_response_bytes: int = 6 * 1024 * 1024  #: bytes of one JSON answer or one event (AWS: 6 MB payload)
    allow_private: bool = False  #: may be at a private or loopback address
    ca_file: str = ""  #: a private CA for https, PEM file; empty for the system's
    proxy: str = ""  #: http://host:port of a CONNECT proxy; empty for none
    revision: int = 0
    status: str = "CREATING"
    eras: tuple[EraTools, ...] = ()  #: from the last good synchronization

    def tools_in(self, era: Era) -> EraTools | None:
        """Return what the target offers in ``era``, or None when it does not speak it."""
        return next((entry for entry in self.eras if entry.era == era), None)

    def offered_to(self, era: Era) -> EraTools | None:
        """Return what a client of ``era`` is offered: the target's own tools of it, else those of the other era.

        None when the target has not been synchronized in an era that its setting allows.
        """
        allowed = [entry for entry in self.eras if self.era in ("auto", entry.era)]
        return next((entry for entry in allowed if entry.era == era), allowed[0] if allowed else None)
