"""Sending what is here to an AgentCore endpoint: made or replaced by name, never deleted.

What the other side cannot hold is named and left out; what it refuses is named, and the rest goes on.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from portico.cli.aws.endpoint import AgentCore
from portico.control.aws_documents import (
    ROLE,
    TAGS,
    AwsProvider,
    AwsState,
    movable,
    own_tags,
    provider_name,
    refused_there,
    with_provider,
    with_secret,
)
from portico.control.documents import EXTENSION_KEY
from portico.control.exporting import LeftOut
from portico.control.provider_documents import API_KEY
from portico.control.resources import Kind, Resource
from portico.model.errors import UpstreamError
from portico.model.secret import Secret
from portico.storage.credential_providers import ProviderKind

Outcome = Literal["created", "changed", "same"]

PROVIDERS: Final[Mapping[Kind, ProviderKind]] = {
    "OAuth2 credential provider": "oauth2",
    "API key credential provider": "api_key",
}
_FOREIGN: Final = "the AgentCore API has no such thing"
_ORDER: Final[tuple[Kind, ...]] = (*PROVIDERS, "workload identity", "gateway", "target")
#: Stands for what is only known once something was made, while nothing is.
_UNKNOWN: Final = "arn:aws:bedrock-agentcore:us-east-1:000000000000:token-vault/default/oauth2credentialprovider/new"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """One resource that the other side has now."""

    outcome: Outcome
    kind: Kind
    name: str


@dataclass(slots=True)
class Sender:
    """Sends resources. With ``rehearse`` it finds out what it would do and changes nothing."""

    endpoint: AgentCore
    there: AwsState
    role: str | None
    rehearse: bool
    secrets: Mapping[tuple[ProviderKind, str], Secret] = field(default_factory=dict[tuple[ProviderKind, str], Secret])
    wanted: list[tuple[ProviderKind, str]] = field(default_factory=list[tuple[ProviderKind, str]])  #: secrets to give
    sent: list[Sent] = field(default_factory=list[Sent])
    left_out: list[LeftOut] = field(default_factory=list[LeftOut])
    failed: list[str] = field(default_factory=list[str])
    _arns: dict[tuple[ProviderKind, str], str] = field(default_factory=dict[tuple[ProviderKind, str], str])
    _gateways: dict[str, str] = field(default_factory=dict[str, str])  # ids there, by name

    def send(self, resources: Sequence[Resource]) -> None:
        """Send what can be sent, in the order in which one refers to another."""
        for resource in resources:
            if resource.kind not in _ORDER:
                self._leave(resource, _FOREIGN)
        for kind in _ORDER:
            for resource in resources:
                if resource.kind == kind:
                    self._one(resource)

    def _one(self, resource: Resource) -> None:
        try:
            match resource.kind:
                case "OAuth2 credential provider" | "API key credential provider":
                    outcome = self._provider(resource, PROVIDERS[resource.kind])
                case "workload identity":
                    outcome = self._identity(resource)
                case "gateway":
                    outcome = self._gateway(resource)
                case _:
                    outcome = self._target(resource)
        except UpstreamError as error:
            self.failed.append(error.public)
            return
        if outcome is None:
            return
        self.sent.append(Sent(outcome=outcome, kind=resource.kind, name=resource.label))
        extension: Mapping[str, Any] = resource.document.get(EXTENSION_KEY, {})
        if extension:
            member = f"{EXTENSION_KEY} ({', '.join(extension)})"
            self._leave(resource, "AWS's documents have no place for it", member=member)

    def _provider(self, resource: Resource, kind: ProviderKind) -> Outcome | None:
        document = movable(resource.document)
        noun = "Oauth2" if kind == "oauth2" else "ApiKey"
        if self._refused(resource, f"Create{noun}CredentialProvider", document):
            return None
        stored = next(
            (found for found in self.there.providers if (found.kind, found.name) == (kind, resource.name)), None
        )
        if stored is not None and _bare(stored.document) == _bare(document):
            self._arns[kind, resource.name] = stored.arn
            return self._tagged(stored.arn, stored.document, document, "same")
        self.wanted.append((kind, resource.name))
        if self.rehearse:
            self._arns[kind, resource.name] = _UNKNOWN if stored is None else stored.arn
            return "created" if stored is None else "changed"
        secret = self.secrets[kind, resource.name].reveal()
        request = with_secret(document, secret) if kind == "oauth2" else document | {API_KEY: secret}
        return self._written_provider(resource, kind, request, stored)

    def _written_provider(
        self, resource: Resource, kind: ProviderKind, request: dict[str, Any], stored: AwsProvider | None
    ) -> Outcome:
        noun, about = "oauth2" if kind == "oauth2" else "api_key", f"{resource.kind} {resource.name}"
        if stored is None:
            answer = self.endpoint.call(f"create_{noun}_credential_provider", about, request)
            self._arns[kind, resource.name] = answer["credentialProviderArn"]
            return "created"
        self.endpoint.call(f"update_{noun}_credential_provider", about, _bare(request))
        self._arns[kind, resource.name] = stored.arn
        return self._tagged(stored.arn, stored.document, request, "changed")

    def _identity(self, resource: Resource) -> Outcome | None:
        document = movable(resource.document)
        if self._refused(resource, "CreateWorkloadIdentity", document):
            return None
        stored = next((found for found in self.there.identities if found.document["name"] == resource.name), None)
        about = f"workload identity {resource.name}"
        if stored is None:
            if not self.rehearse:
                self.endpoint.call("create_workload_identity", about, document)
            return "created"
        outcome: Outcome = "same"
        if _bare(stored.document) != _bare(document):
            outcome = "changed"
            if not self.rehearse:
                self.endpoint.call("update_workload_identity", about, _bare(document))
        return self._tagged(stored.arn, stored.document, document, outcome)

    def _gateway(self, resource: Resource) -> Outcome | None:
        document = movable(resource.document)
        if self.role is not None:
            document[ROLE] = self.role
        if ROLE not in document:
            self._leave(resource, "AWS wants a roleArn; give one with --role-arn")
            return None
        if self._refused(resource, "CreateGateway", document):
            return None
        stored = next((found for found in self.there.gateways if found.document["name"] == resource.name), None)
        about = f"gateway {resource.name}"
        if stored is None:
            self._gateways[resource.name] = ""
            if not self.rehearse:
                output = self.endpoint.call("create_gateway", about, document)
                self.endpoint.settled_gateway(output)
                self._gateways[resource.name] = output["gatewayId"]
            return "created"
        self._gateways[resource.name] = stored.id
        outcome: Outcome = "same"
        if _bare(stored.document) != _bare(document):
            outcome = "changed"
            if not self.rehearse:
                request = {"gatewayIdentifier": stored.id, **_bare(document)}
                self.endpoint.settled_gateway(self.endpoint.call("update_gateway", about, request))
        return self._tagged(stored.arn, stored.document, document, outcome)

    def _target(self, resource: Resource) -> Outcome | None:
        if resource.of not in self._gateways:
            self._leave(resource, "its gateway is not there")
            return None
        gateway_id = self._gateways[resource.of]
        document = with_provider(movable(resource.document), lambda kind, name: self._arns.get((kind, name)))
        if document is None:
            self._leave(resource, f"its credential provider {provider_name(resource.document)!r} is not there")
            return None
        if self._refused(resource, "CreateGatewayTarget", document):
            return None
        gateway = next((found for found in self.there.gateways if found.id == gateway_id), None)
        found = gateway.targets if gateway is not None else ()
        stored = next((target for target in found if target.document.get("name") == resource.name), None)
        request = {"gatewayIdentifier": gateway_id, **document}
        about = f"target {resource.label}"
        if stored is None:
            if not self.rehearse:
                self.endpoint.call("create_gateway_target", about, request)
            return "created"
        if stored.document == document:
            return "same"
        if not self.rehearse:
            self.endpoint.call("update_gateway_target", about, request | {"targetId": stored.id})
        return "changed"

    def _tagged(self, arn: str, stored: Mapping[str, Any], wanted: Mapping[str, Any], outcome: Outcome) -> Outcome:
        had, tags = own_tags(stored.get(TAGS, {})), dict(wanted.get(TAGS, {}))
        if had == tags:
            return outcome
        if not self.rehearse:
            if tags:
                self.endpoint.call("tag_resource", arn, {"resourceArn": arn, "tags": tags})
            if gone := sorted(had.keys() - tags.keys()):
                self.endpoint.call("untag_resource", arn, {"resourceArn": arn, "tagKeys": gone})
        return "changed" if outcome == "same" else outcome

    def _refused(self, resource: Resource, operation: str, document: Mapping[str, Any]) -> bool:
        faults = refused_there(operation, document)
        if faults:
            self._leave(resource, str(faults[0]))
        return bool(faults)

    def _leave(self, resource: Resource, why: str, *, member: str = "") -> None:
        self.left_out.append(LeftOut(kind=resource.kind, name=resource.label, why=why, member=member))


def _bare(document: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in document.items() if name != TAGS}
