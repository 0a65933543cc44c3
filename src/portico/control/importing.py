"""What an AgentCore endpoint holds as declarations that nobody manages, to be applied by the steps of the API.

What Portico cannot hold is named and left out. A gateway that something protects which is not built here (policies,
interceptors, a firewall) is left out as a whole: without it, it would let in whom it should not.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from portico.control.arns import api_key_provider_arn, oauth2_provider_arn
from portico.control.aws_documents import (
    AwsGateway,
    AwsProvider,
    AwsState,
    AwsTarget,
    built_here,
    provider_name,
    with_provider,
)
from portico.control.declarations import Declarations, GatewayDeclaration, IdentityDeclaration, ProviderDeclaration
from portico.control.declarations import TargetDeclaration as Target
from portico.control.documents import EXTENSION_KEY, gateway_faults, target_faults
from portico.control.exporting import LeftOut
from portico.control.provider_documents import API_KEY, SECRET, oauth_provider_faults, server_of
from portico.control.providers import ProviderRequest
from portico.control.quotas import Quotas
from portico.control.relaxations import RELAXED, Ground
from portico.control.resources import Kind, Place, Resource
from portico.control.shapes import check_shape
from portico.control.workload_identities import identity_faults
from portico.model.errors import Fault
from portico.model.secret import Secret
from portico.net.egress import Egress
from portico.storage.credential_providers import ProviderKind

KINDS: Final[Mapping[ProviderKind, Kind]] = {
    "oauth2": "OAuth2 credential provider",
    "api_key": "API key credential provider",
}
_MEMBERS: Final[Mapping[ProviderKind, str]] = {"oauth2": SECRET, "api_key": API_KEY}
_ALLOW_PRIVATE: Final = "allowPrivateAddresses"


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """What imported documents are judged against."""

    ground: Ground
    egress: Egress
    quotas: Quotas
    place: Place
    new_extension: Mapping[str, Any]  #: ``x-portico`` of targets and providers that are new here


@dataclass(slots=True)
class Import:
    """Collects what can be taken over. ``wanted`` names the providers whose secret has to be given."""

    bounds: Bounds
    stored: Sequence[Resource]
    left_out: list[LeftOut] = field(default_factory=list[LeftOut])
    wanted: list[AwsProvider] = field(default_factory=list[AwsProvider])
    _providers: list[AwsProvider] = field(default_factory=list[AwsProvider])
    _identities: list[IdentityDeclaration] = field(default_factory=list[IdentityDeclaration])
    _gateways: list[GatewayDeclaration] = field(default_factory=list[GatewayDeclaration])
    _index: dict[tuple[Kind, str], Resource] = field(init=False)

    def __post_init__(self) -> None:
        self._index = {(resource.kind, resource.label): resource for resource in self.stored}

    def read(self, state: AwsState) -> None:
        """Judge everything that the other side holds."""
        for name, vendor in state.unreadable:
            self._leave("OAuth2 credential provider", name, f"the vendor {vendor} is not known here")
        for provider in state.providers:
            self._provider(provider)
        for identity in state.identities:
            faults = _shape_faults("CreateWorkloadIdentity", identity.document) or identity_faults(identity.document)
            name: str = identity.document["name"]
            if faults:
                self._leave("workload identity", name, str(faults[0]))
                continue
            document = {key: value for key, value in identity.document.items() if key != "tags"}
            tags = identity.document.get("tags", {})
            self._identities.append(IdentityDeclaration(document=document, tags=tags, path=f"workload identity {name}"))
        for gateway in state.gateways:
            self._gateway(gateway)

    def declarations(self, secrets: Mapping[tuple[ProviderKind, str], Secret]) -> Declarations:
        """Return what can be taken over, with the secrets of the providers that were ``wanted``."""
        providers = [self._declared(provider, secrets) for provider in self._providers]
        return Declarations(
            ground=self.bounds.ground,
            managed_by="",
            providers=tuple(providers),
            identities=tuple(self._identities),
            gateways=tuple(self._gateways),
        )

    def _provider(self, provider: AwsProvider) -> None:
        kind = KINDS[provider.kind]
        extension = self._extension(kind, provider.name)
        stored = self._stored(kind, provider.name)
        noun = "Oauth2" if provider.kind == "oauth2" else "ApiKey"
        faults = _shape_faults(f"Create{noun}CredentialProvider", provider.document)
        if not faults and provider.kind == "oauth2":
            private = extension.get(_ALLOW_PRIVATE) is True
            faults = oauth_provider_faults(provider.document, egress=self.bounds.egress, allow_private=private)
        if faults:
            self._leave(kind, provider.name, str(faults[0]))
            return
        self._providers.append(provider)
        moved = stored is not None and provider.kind == "oauth2"
        if stored is None or (moved and server_of(stored.document) != server_of(provider.document)):
            self.wanted.append(provider)

    def _declared(
        self, provider: AwsProvider, secrets: Mapping[tuple[ProviderKind, str], Secret]
    ) -> ProviderDeclaration:
        kind = KINDS[provider.kind]
        document = {name: value for name, value in provider.document.items() if name != "tags"}
        extension = self._extension(kind, provider.name) if provider.kind == "oauth2" else {}
        if extension:
            document[EXTENSION_KEY] = extension
        secret = secrets.get((provider.kind, provider.name))
        request = ProviderRequest(
            kind=provider.kind,
            document=document,
            secrets={} if secret is None else {_MEMBERS[provider.kind]: secret},
            tags=provider.document.get("tags", {}),
        )
        return ProviderDeclaration(request=request, path=f"{kind} {provider.name}")

    def _gateway(self, gateway: AwsGateway) -> None:
        document, dropped, refused = built_here(gateway.document)
        name: str = document["name"]
        stored = self._stored("gateway", name)
        extension: Mapping[str, Any] = {} if stored is None else stored.document.get(EXTENSION_KEY, {})
        faults = refused or gateway_faults(document, extension, ground=self.bounds.ground)
        if faults:
            self._leave("gateway", name, str(faults[0]))
            return
        for path in dropped:
            self._leave("gateway", name, "it is not built here", member=path)
        targets = [self._target(name, document, target) for target in gateway.targets]
        declared = GatewayDeclaration(
            document=document,
            extension=extension,
            targets=tuple(target for target in targets if target is not None),
            path=f"gateway {name}",
        )
        self._gateways.append(declared)

    def _target(self, gateway: str, gateway_document: Mapping[str, Any], target: AwsTarget) -> Target | None:
        name = f"{gateway}/{target.document['name']}"
        document = with_provider(target.document, self._arn)
        if document is None:
            why = f"its credential provider {provider_name(target.document)!r} was left out or is not there"
            self._leave("target", name, why)
            return None
        extension = self._extension("target", name)
        bounds = self.bounds
        faults = target_faults(
            document, extension, egress=bounds.egress, gateway=gateway_document, quotas=bounds.quotas
        )
        if faults:
            self._leave("target", name, str(faults[0]))
            return None
        return Target(document=document, extension=extension, path=f"target {name}")

    def _arn(self, kind: ProviderKind, name: str) -> str | None:
        if not any((provider.kind, provider.name) == (kind, name) for provider in self._providers):  # 100 at most
            return None
        build = oauth2_provider_arn if kind == "oauth2" else api_key_provider_arn
        return build(name, region=self.bounds.place.region, account=self.bounds.place.account)

    def _extension(self, kind: Kind, label: str) -> dict[str, Any]:
        """Return ``x-portico`` of something: the other side has none, so what is here stays."""
        stored = self._stored(kind, label)
        return dict(self.bounds.new_extension if stored is None else stored.document.get(EXTENSION_KEY, {}))

    def _stored(self, kind: Kind, label: str) -> Resource | None:
        return self._index.get((kind, label))

    def _leave(self, kind: str, name: str, why: str, *, member: str = "") -> None:
        self.left_out.append(LeftOut(kind=kind, name=name, why=why, member=member))


def _shape_faults(operation: str, document: Mapping[str, Any]) -> list[Fault]:
    """Hold what the other side says against the model: nobody says that it does."""
    return check_shape(f"{operation}Request", document, relaxed=RELAXED)
