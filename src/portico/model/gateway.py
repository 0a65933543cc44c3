"""A gateway as the data plane sees it: parsed from its AWS-shaped request document and its extension."""

from dataclasses import dataclass, field
from typing import Literal

#: Every MCP revision that Portico knows, oldest first.
PROTOCOL_VERSIONS = ("2025-03-26", "2025-06-18", "2025-11-25", "2026-07-28")
LEGACY_VERSIONS = PROTOCOL_VERSIONS[:3]
MODERN_VERSIONS = PROTOCOL_VERSIONS[3:]

Era = Literal["legacy", "modern"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimRule:
    """One entry of ``customClaims``: what a claim of the token must hold."""

    claim: str
    value_type: Literal["STRING", "STRING_ARRAY"]
    operator: Literal["EQUALS", "CONTAINS", "CONTAINS_ANY"]
    values: frozenset[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class JwtAuthorizer:
    """``CUSTOM_JWT``: AND across the fields that are set, OR inside each (devguide inbound-jwt-authorizer)."""

    discovery_url: str
    allowed_audience: frozenset[str] = frozenset()
    allowed_clients: frozenset[str] = frozenset()
    allowed_scopes: frozenset[str] = frozenset()
    custom_claims: tuple[ClaimRule, ...] = ()
    advertised_scopes: tuple[str, ...] = ()  #: allowed_scopes, in order, after advertisedScopeMapping


@dataclass(frozen=True, slots=True, kw_only=True)
class IamAuthorizer:
    """``AWS_IAM``: signed (SigV4) by an access key that may invoke this gateway (devguide gateway-inbound-auth)."""

    gateway_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AuthenticateOnlyAuthorizer:
    """``AUTHENTICATE_ONLY``: signed by any access key; what its caller may do is for others to decide."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NoAuthorizer:
    """``NONE``: anyone may call."""


Authorizer = JwtAuthorizer | IamAuthorizer | AuthenticateOnlyAuthorizer | NoAuthorizer


@dataclass(frozen=True, slots=True, kw_only=True)
class Gateway:
    """An MCP endpoint and its settings."""

    id: str
    name: str
    authorizer: Authorizer
    supported_versions: tuple[str, ...] = PROTOCOL_VERSIONS
    instructions: str = ""
    debug: bool = False  #: exceptionLevel DEBUG: errors say which check failed and what would fix it
    page_size: int = 200  #: tools per tools/list page; 0 puts all on one page
    session_timeout: int = 0  #: seconds from initialize; 0: no Mcp-Session-Id is minted (AWS: sessions are opt-in)
    streaming: bool = False  #: answers may stream as SSE (AWS: opt-in); else one JSON answer, progress dropped
    revision: int = 0
    allowed_origins: frozenset[str] = field(default_factory=frozenset[str])
    allow_private_issuer: bool = False  #: a foreign discoveryUrl may be at a private address


def era_of(version: str) -> Era:
    """Return the era of a protocol revision that is in :data:`PROTOCOL_VERSIONS`."""
    return "modern" if version in MODERN_VERSIONS else "legacy"
