"""What a file declares: issuers with their users and clients, credential providers, workload identities, gateways with
their targets, access keys.

Values only; the modules ``declared_...`` read them out of a document, :mod:`portico.control.apply` writes them to
storage.
"""  # noqa: D205 - the kinds do not fit into one line

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from portico.control.providers import ProviderRequest
from portico.control.relaxations import Ground
from portico.model.access_key import Role
from portico.model.secret import Secret
from portico.storage.clients import ClientRow

MANAGED_BY: Final = "portico.yaml"  #: the logical name of the process's own file, wherever it lies


@dataclass(frozen=True, slots=True, kw_only=True)
class UserDeclaration:
    """A user; exactly one of the two ways to give a password."""

    name: str
    password: Secret | None = None
    password_hash: str = ""  #: Argon2id, PHC string
    display_name: str = ""
    email: str = ""
    path: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientDeclaration:
    """A machine, a public or a confidential client; of a secret the hash."""

    row: ClientRow  #: as it is stored, but for its times
    path: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class IssuerDeclaration:
    """An issuer's document and its directory."""

    name: str
    document: Mapping[str, Any] = field(repr=False)  #: with the secrets of its connectors in the clear
    users: tuple[UserDeclaration, ...] = ()
    clients: tuple[ClientDeclaration, ...] = ()
    path: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderDeclaration:
    """A credential provider with its secret."""

    request: ProviderRequest
    path: str = ""

    @property
    def name(self) -> str:
        """The provider's name, good among those of its kind."""
        return self.request.name


@dataclass(frozen=True, slots=True, kw_only=True)
class IdentityDeclaration:
    """A CreateWorkloadIdentity document and the identity's tags."""

    document: Mapping[str, Any]
    tags: Mapping[str, str]
    path: str = ""

    @property
    def name(self) -> str:
        """The identity's name."""
        return self.document["name"]


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetDeclaration:
    """A CreateGatewayTarget document and our extension."""

    document: Mapping[str, Any]
    extension: Mapping[str, Any]
    path: str = ""

    @property
    def name(self) -> str:
        """The target's name."""
        return self.document["name"]


@dataclass(frozen=True, slots=True, kw_only=True)
class GatewayDeclaration:
    """A CreateGateway document, our extension, and the targets."""

    document: Mapping[str, Any]
    extension: Mapping[str, Any]
    targets: tuple[TargetDeclaration, ...] = ()
    path: str = ""

    @property
    def name(self) -> str:
        """The gateway's name."""
        return self.document["name"]


@dataclass(frozen=True, slots=True, kw_only=True)
class AccessKeyDeclaration:
    """An access key of the AgentCore API."""

    id: str
    secret: Secret
    name: str
    role: Role
    gateways: tuple[str, ...] = ()  #: names or ids that it is confined to; empty: all
    path: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Declarations:
    """Everything that a file declares, and the ground it was judged on."""

    ground: Ground
    managed_by: str = MANAGED_BY  #: who declares it; empty: nobody will manage it, and nothing is removed
    issuers: tuple[IssuerDeclaration, ...] = ()
    providers: tuple[ProviderDeclaration, ...] = ()
    identities: tuple[IdentityDeclaration, ...] = ()
    gateways: tuple[GatewayDeclaration, ...] = ()
    access_keys: tuple[AccessKeyDeclaration, ...] = ()
