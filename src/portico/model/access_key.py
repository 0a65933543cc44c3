"""An access key: what signs requests of the AgentCore API and of gateways that ask for signatures (SigV4)."""

from dataclasses import dataclass
from typing import Final, Literal, get_args

from portico.model.secret import Secret

#: What a key may do, the mightiest first. ``invoker`` calls gateways and nothing else; ``reader`` reads the control
#: plane and calls nothing.
Role = Literal["administrator", "operator", "reader", "invoker"]

ROLES: Final[tuple[Role, ...]] = get_args(Role)

_MAY_INVOKE: Final = frozenset[Role]({"administrator", "operator", "invoker"})


@dataclass(frozen=True, slots=True, kw_only=True)
class AccessKey:
    """A key that is neither unknown nor disabled."""

    id: str
    secret: Secret
    name: str  #: of whoever it was made for; several keys of one name are one caller, so that keys can be changed
    role: Role
    gateways: frozenset[str] = frozenset()  #: ids that it is confined to; empty: all
    account: str

    @property
    def arn(self) -> str:
        """Whom AWS's documents would call the principal."""
        return user_arn(self.account, self.name)

    def may_invoke(self, gateway_id: str) -> bool:
        """Say whether the key may call a gateway, AWS's ``bedrock-agentcore:InvokeGateway``."""
        return self.role in _MAY_INVOKE and self.reaches(gateway_id)

    def reaches(self, gateway_id: str) -> bool:
        """Say whether a gateway is among those that the key is confined to, if it is confined at all."""
        return not self.gateways or gateway_id in self.gateways


def user_arn(account: str, name: str) -> str:
    """Return the ARN of an access key's user, in the form of IAM's."""
    return f"arn:aws:iam::{account}:user/{name}"
