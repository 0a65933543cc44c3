"""ARNs of what the control plane holds: made in one way, read strictly.

The forms are AWS's (developer guide: bedrock-agentcore-limits, gateway-outbound-auth). For credential providers the
service model's own pattern names the service ``acps`` where the guide says ``bedrock-agentcore``: both are read, the
guide's is written. Targets have no ARN of their own at AWS; ours serves the audit trail. So do those of what AgentCore
does not have: issuers with their users, clients and grants, and access keys.
"""

import hashlib
import re
from dataclasses import dataclass
from typing import Final, Literal
from urllib.parse import quote

from portico.storage.schema import DEFAULT_ACCOUNT

ArnKind = Literal["gateway", "target", "workload-identity", "oauth2-provider", "api-key-provider", "token-vault"]

PARTITION: Final = "aws"
VAULT: Final = "default"  #: the only token vault, and the only directory of workload identities
MAX_ARN_CHARS: Final = 1011  #: service model, TaggableResourcesArn
MAX_KEY_CHARS: Final = 128  #: of a name in an ARN of ours; of a longer one (a registered client's id) its digest stands

_ARN = re.compile(
    r"arn:aws(?:-[a-z-]{1,20})?:(?P<service>bedrock-agentcore|acps):(?P<region>[a-z0-9-]{1,20})"
    r":(?P<account>[0-9]{12}):(?P<resource>[^\s:]{1,900})\Z"
)
_PATHS: Final[dict[ArnKind, str]] = {
    "gateway": "gateway/{}",
    "target": "gateway/{}/target/{}",
    "workload-identity": f"workload-identity-directory/{VAULT}/workload-identity/{{}}",
    "oauth2-provider": f"token-vault/{VAULT}/oauth2credentialprovider/{{}}",
    "api-key-provider": f"token-vault/{VAULT}/apikeycredentialprovider/{{}}",
    "token-vault": "token-vault/{}",
}
_NAME: Final = r"([A-Za-z0-9_.-]{1,255})"
_RESOURCES: Final[tuple[tuple[ArnKind, re.Pattern[str]], ...]] = tuple(
    (kind, re.compile(re.escape(path).replace(r"\{\}", _NAME) + r"\Z")) for kind, path in _PATHS.items()
)
_OF_VAULT: Final = frozenset({"oauth2-provider", "api-key-provider", "token-vault"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Arn:
    """An ARN, taken apart. ``str()`` gives its canonical form."""

    kind: ArnKind
    region: str
    account: str
    name: str  #: a gateway's id, or the name
    target_id: str = ""

    def __str__(self) -> str:
        resource = _PATHS[self.kind].format(self.name, self.target_id)
        return f"arn:{PARTITION}:bedrock-agentcore:{self.region}:{self.account}:{resource}"


def parse_arn(text: str) -> Arn | None:
    """Read an ARN; None when it is none of ours in form. Whose it is, the caller looks at."""
    found = _ARN.match(text) if len(text) <= MAX_ARN_CHARS else None
    if found is None:
        return None
    for kind, pattern in _RESOURCES:
        resource = pattern.match(found["resource"])
        if resource is not None and (found["service"] != "acps" or kind in _OF_VAULT):
            name, target_id = (*resource.groups(), "")[:2]
            return Arn(kind=kind, region=found["region"], account=found["account"], name=name, target_id=target_id)
    return None


def gateway_arn(gateway_id: str, *, region: str, account: str) -> str:
    """Return a gateway's ARN."""
    return str(Arn(kind="gateway", region=region, account=account, name=gateway_id))


def target_arn(gateway_id: str, target_id: str, *, region: str, account: str) -> str:
    """Return by what the audit trail names a target."""
    return str(Arn(kind="target", region=region, account=account, name=gateway_id, target_id=target_id))


def workload_identity_arn(name: str, *, region: str, account: str) -> str:
    """Return a workload identity's ARN."""
    return str(Arn(kind="workload-identity", region=region, account=account, name=name))


def oauth2_provider_arn(name: str, *, region: str, account: str) -> str:
    """Return an OAuth2 credential provider's ARN."""
    return str(Arn(kind="oauth2-provider", region=region, account=account, name=name))


def api_key_provider_arn(name: str, *, region: str, account: str) -> str:
    """Return an API key credential provider's ARN."""
    return str(Arn(kind="api-key-provider", region=region, account=account, name=name))


def token_vault_arn(*, region: str, account: str) -> str:
    """Return the token vault's ARN."""
    return str(Arn(kind="token-vault", region=region, account=account, name=VAULT))


def own_arn(*parts: str, account: str = DEFAULT_ACCOUNT) -> str:
    """Return by what the audit trail names something that AgentCore does not have, such as ``issuer, main, user, ada``.

    Kinds and names take turns; names may hold anything.
    """
    resource = "/".join(_written(part) for part in parts)
    return f"arn:{PARTITION}:portico::{account}:{resource}"


def _written(name: str) -> str:
    if len(name) > MAX_KEY_CHARS:
        return "sha256-" + hashlib.sha256(name.encode()).hexdigest()
    return quote(name, safe="")
