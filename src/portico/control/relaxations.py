"""Where Portico accepts more than AWS's model: one table *constraint → relaxed rule → setting*.

Everything else of the model holds as it stands. A constraint is written as in
:func:`portico.control.shapes.check_shape` (``Shape.member:required``, ``Shape:pattern``); those that only AWS's guide
states are written as a sentence. The functions here are the relaxed rules; :mod:`portico.control.documents` applies
them.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import SplitResult, urlsplit

from portico.oauth.metadata import discovery_urls, issuer_named_by, issuer_url

LOOPBACK_HOSTS: Final = frozenset({"localhost", "127.0.0.1", "::1"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Relaxation:
    """One constraint of AWS's that does not hold here."""

    constraint: str
    rule: str  #: what holds instead
    setting: str  #: what has to be set for it; empty when it always holds


RELAXATIONS: Final = (
    Relaxation(
        constraint="CreateGatewayRequest.roleArn:required",
        rule="may be left out: there is no IAM role to assume",
        setting="",
    ),
    Relaxation(
        constraint="UpdateGatewayRequest.roleArn:required",
        rule="likewise, may be left out",
        setting="",
    ),
    Relaxation(
        constraint="CreateGatewayTargetRequest.gatewayIdentifier:required",
        rule="is given by the gateway that the target stands under",
        setting="",
    ),
    Relaxation(
        constraint="McpServerTargetConfigurationEndpointString:pattern",
        rule="http:// and private addresses are accepted",
        setting="x-portico.allowPrivateAddresses of the target",
    ),
    Relaxation(
        constraint="TaggableResourcesArn:pattern",
        rule="ARNs of OAuth2 credential providers are accepted (their kind has a digit); unknown kinds are not",
        setting="",
    ),
    Relaxation(
        constraint="CredentialProviderArnType:pattern",
        rule="answers name the service `bedrock-agentcore`, as AWS's guide does and gateways want it, not `acps`",
        setting="",
    ),
    Relaxation(
        constraint="ApiKeyCredentialProviderArnType:pattern",
        rule="likewise",
        setting="",
    ),
    Relaxation(
        constraint="guide: one of allowedAudience, allowedClients, allowedScopes, customClaims is required",
        rule="all four may be left out when the issuer is Portico's own: its tokens must name the gateway in `aud`",
        setting="discoveryUrl of one of our issuers",
    ),
    Relaxation(
        constraint="guide: discoveryUrl is https",
        rule="http:// is accepted on loopback and for our own issuers",
        setting="discoveryUrl",
    ),
)

#: The constraints that the shape check leaves out.
RELAXED: Final = frozenset(entry.constraint for entry in RELAXATIONS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ground:
    """What documents are judged against: where we are, and which issuers we serve."""

    public_url: str
    issuers: frozenset[str] = field(default_factory=frozenset[str])

    def issuer_url(self, name: str) -> str:
        """Return the URL of one of our issuers, as it stands in ``iss``."""
        return issuer_url(self.public_url, name)

    def own_issuer(self, discovery_url: str) -> str | None:
        """Return the name of our issuer whose metadata ``discovery_url`` claims to be, None for a foreign one."""
        return issuer_named_by(discovery_url, self.public_url)

    def discovery_urls(self, name: str) -> tuple[str, ...]:
        """Return where the metadata of our issuer ``name`` stands, the usual one first."""
        url = self.issuer_url(name)
        usual = f"{url}/.well-known/openid-configuration"
        return (usual, *(other for other in discovery_urls(url) if other != usual))


def may_be_plain_http(url: str) -> bool:
    """Say whether a foreign issuer's URL is https, or http on loopback."""
    parts = split_url(url)
    if parts is None:
        return False
    return parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in LOOPBACK_HOSTS)


def restricts_nobody(jwt: Mapping[str, Any]) -> bool:
    """Say whether an authorizer has none of the four fields of which AWS wants one."""
    return not any(jwt.get(name) for name in ("allowedAudience", "allowedClients", "allowedScopes", "customClaims"))


def split_url(url: str) -> SplitResult | None:
    """Take a URL apart, None when it has no host or an impossible port."""
    try:
        parts = urlsplit(url)
        _ = parts.port  # raises on an impossible port
    except ValueError:
        return None
    return parts if parts.hostname else None
