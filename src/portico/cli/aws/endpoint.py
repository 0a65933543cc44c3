"""An AgentCore endpoint through boto3, with credentials, profile and proxies from AWS's own environment."""

import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, cast

from botocore.exceptions import BotoCoreError, ClientError  # pyright: ignore[reportMissingTypeStubs] - none

from portico.cli.printing import printable
from portico.control.arns import VAULT
from portico.control.aws_documents import (
    AwsGateway,
    AwsIdentity,
    AwsProvider,
    AwsState,
    AwsTarget,
    api_key_document,
    gateway_document,
    identity_document,
    oauth_document,
    target_document,
)
from portico.model.errors import PorticoError, UpstreamError

SERVICE: Final = "bedrock-agentcore-control"
READY_SECONDS: Final = 300.0  #: for a gateway to be made
POLL_SECONDS: Final = 2.0
UNSETTLED: Final = frozenset({"CREATING", "UPDATING"})

_Document = Mapping[str, Any]


class Refused(UpstreamError):
    """The endpoint refuses a request; ``aws_code`` is the exception that it names."""

    def __init__(self, public: str, *, aws_code: str) -> None:
        super().__init__(public)
        self.aws_code = aws_code


class AgentCore:
    """One endpoint."""

    def __init__(
        self,
        client: Any,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._client = client
        self._clock = clock
        self._sleep = sleep

    @classmethod
    def connect(cls, *, endpoint_url: str | None, region: str | None) -> "AgentCore":
        """Make a client; nothing is sent yet.

        Raises:
            PorticoError: boto3 is not installed, or AWS's environment lacks something.
        """
        try:
            import boto3  # noqa: PLC0415  # pyright: ignore[reportMissingTypeStubs] - optional, and without stubs
        except ImportError as error:
            raise PorticoError("This needs boto3. Install it with: pip install 'portico[aws]'") from error
        session = cast("Any", boto3).Session
        try:
            return cls(session().client(SERVICE, endpoint_url=endpoint_url, region_name=region))
        except (BotoCoreError, ValueError) as error:  # no region; an endpoint that is no URL
            advice = "Set AWS_DEFAULT_REGION or --region, and --endpoint-url if it is not AWS itself."
            raise PorticoError(f"AWS's environment is not complete: {error} {advice}") from error

    def read(self) -> AwsState:
        """Return everything that can be moved.

        Raises:
            UpstreamError: the endpoint refuses or cannot be reached.
        """
        try:
            return self._read()
        except KeyError as error:
            raise UpstreamError(f"The endpoint is no AgentCore API: its answer lacks {error}.") from error

    def _read(self) -> AwsState:
        gateways = tuple(self._gateways())
        oauth, unreadable = self._oauth_providers()
        return AwsState(
            providers=(*oauth, *self._api_key_providers()),
            identities=tuple(self._identities({gateway.id for gateway in gateways})),
            gateways=gateways,
            unreadable=tuple(unreadable),
        )

    def call(self, operation: str, about: str, request: _Document) -> dict[str, Any]:
        """Call an operation, by boto3's name of it.

        Raises:
            UpstreamError: names the operation and what it was ``about``, with the endpoint's own words.
        """
        try:
            return cast("dict[str, Any]", getattr(self._client, operation)(**request))
        except ClientError as error:
            told = cast("dict[str, Any]", error.response).get("Error", {})
            code, message = str(told.get("Code", "")), str(told.get("Message", ""))
            public = printable(f"{operation} of {about} was refused: {code}: {message}")
            raise Refused(public, aws_code=code) from error
        except BotoCoreError as error:
            raise UpstreamError(printable(f"{operation} of {about} failed: {error}")) from error

    def settled_gateway(self, output: _Document) -> None:
        """Wait until a gateway that was made or changed takes targets.

        Raises:
            UpstreamError: it failed, or took too long.
        """
        about = f"gateway {output['name']}"
        until = self._clock() + READY_SECONDS
        while output["status"] in UNSETTLED:
            if self._clock() > until:
                raise UpstreamError(f"The {about} was not ready within {READY_SECONDS:g} s.")
            self._sleep(POLL_SECONDS)
            output = self.call("get_gateway", about, {"gatewayIdentifier": output["gatewayId"]})
        if output["status"] != "READY":
            raise UpstreamError(f"The {about} is {output['status']}: {'; '.join(output.get('statusReasons', []))}")

    def tags(self, arn: str) -> dict[str, str]:
        """Return the tags of a resource; none of one that the endpoint does not tag.

        AWS's model has no ARN of an OAuth provider among those that have tags, though its answers do.
        """
        try:
            return self.call("list_tags_for_resource", arn, {"resourceArn": arn}).get("tags", {})
        except Refused as refused:
            if refused.aws_code != "ValidationException":
                raise
            return {}

    def _gateways(self) -> Iterator[AwsGateway]:
        for item in self._pages("list_gateways", "items", {}):
            name = {"gatewayIdentifier": item["gatewayId"]}
            output = self.call("get_gateway", f"gateway {item['name']}", name)
            targets = [
                self.call("get_gateway_target", f"target {found['name']}", {**name, "targetId": found["targetId"]})
                for found in self._pages("list_gateway_targets", "items", name)
            ]
            yield AwsGateway(
                id=output["gatewayId"],
                arn=output["gatewayArn"],
                document=gateway_document(output, self.tags(output["gatewayArn"])),
                targets=tuple(AwsTarget(id=found["targetId"], document=target_document(found)) for found in targets),
            )

    def _oauth_providers(self) -> tuple[list[AwsProvider], list[tuple[str, str]]]:
        found: list[AwsProvider] = []
        unreadable: list[tuple[str, str]] = []
        for item in self._pages("list_oauth2_credential_providers", "credentialProviders", {}):
            name: str = item["name"]
            output = self.call("get_oauth2_credential_provider", f"provider {name}", {"name": name})
            arn: str = output["credentialProviderArn"]
            document = oauth_document(output, self.tags(_taggable(arn)))
            if document is None:
                unreadable.append((name, output["credentialProviderVendor"]))
            else:
                found.append(AwsProvider(kind="oauth2", arn=arn, document=document))
        return found, unreadable

    def _api_key_providers(self) -> Iterator[AwsProvider]:
        for item in self._pages("list_api_key_credential_providers", "credentialProviders", {}):
            arn: str = item["credentialProviderArn"]
            yield AwsProvider(kind="api_key", arn=arn, document=api_key_document(item, self.tags(_taggable(arn))))

    def _identities(self, gateways: set[str]) -> Iterator[AwsIdentity]:
        for item in self._pages("list_workload_identities", "workloadIdentities", {}):
            name: str = item["name"]
            if name in gateways:
                continue  # it is made and deleted with its gateway
            output = self.call("get_workload_identity", f"workload identity {name}", {"name": name})
            arn: str = output["workloadIdentityArn"]
            yield AwsIdentity(arn=arn, document=identity_document(output, self.tags(arn)))

    def _pages(self, operation: str, member: str, request: _Document) -> Iterator[dict[str, Any]]:
        more: dict[str, Any] = {}
        while True:
            answer = self.call(operation, "everything", {**request, **more})
            yield from answer[member]
            if not answer.get("nextToken"):
                return
            more = {"nextToken": answer["nextToken"]}


def _taggable(arn: str) -> str:
    """Return an ARN as the operations on tags take it: some answers name the service ``acps``."""
    return arn.replace(":acps:", ":bedrock-agentcore:", 1) if f"token-vault/{VAULT}/" in arn else arn
