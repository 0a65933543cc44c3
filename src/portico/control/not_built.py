"""What AWS's documents may hold and Portico does not do yet: refused by name, never accepted in silence.

A member that were stored without effect would promise a protection or a function that is not there.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final, cast

from portico.model.errors import Fault

#: Members of CreateGateway, by dotted path (an entry of a list counts as its list).
GATEWAY: Final[Mapping[str, str]] = {
    "clientToken": "belongs to API calls; a file is applied as often as you like",
    "kmsKeyArn": "keys in AWS KMS are not built yet; the keyring seals what has to be sealed",
    "interceptorConfigurations": "interceptors are not built yet",
    "policyEngineConfiguration": "policy engines are not built yet",
    "customTransformConfiguration": "transformations are not built yet",
    "wafConfiguration": "is not built yet",
    "domainOverride": "own host names of gateways are not built yet",
    "protocolConfiguration.mcp.searchType": "semantic search is not built yet",
    "authorizerConfiguration.customJWTAuthorizer.privateEndpoint": "is not built yet",
    "authorizerConfiguration.customJWTAuthorizer.privateEndpointOverrides": "is not built yet",
    "authorizerConfiguration.customJWTAuthorizer.certificateConfigurations": "is not built yet",
    "authorizerConfiguration.customJWTAuthorizer.allowedWorkloadConfiguration": "is not built yet",
}

#: Members of CreateGatewayTarget.
TARGET: Final[Mapping[str, str]] = {
    "clientToken": "belongs to API calls; a file is applied as often as you like",
    "gatewayIdentifier": "is given by the gateway that the target stands under",
    "privateEndpoint": "is not built yet; a private address needs x-portico.allowPrivateAddresses",
    "certificateConfigurations": "is not built yet; a private CA goes into x-portico.caFile",
    "targetConfiguration.http": "HTTP targets are not built yet; only mcp.mcpServer is",
    "targetConfiguration.inference": "inference targets are not built yet; only mcp.mcpServer is",
    "targetConfiguration.mcp.openApiSchema": "OpenAPI targets are not built yet; only mcpServer is",
    "targetConfiguration.mcp.smithyModel": "Smithy targets are not built yet; only mcpServer is",
    "targetConfiguration.mcp.lambda": "Lambda targets are not built yet; only mcpServer is",
    "targetConfiguration.mcp.apiGateway": "API Gateway targets are not built yet; only mcpServer is",
    "targetConfiguration.mcp.connector": "connector targets are not built yet; only mcpServer is",
    "targetConfiguration.mcp.mcpServer.mcpToolSchema.s3": "S3 is not read; give the text itself as inlinePayload",
    "targetConfiguration.mcp.mcpServer.resourcePriority": "resources are not built yet",
}

#: Values of members that are built for other values: path, value, sentence.
GATEWAY_VALUES: Final[tuple[tuple[str, str, str], ...]] = ()
TARGET_VALUES: Final[tuple[tuple[str, str, str], ...]] = ()


def gateway_faults(document: Mapping[str, Any], path: str) -> list[Fault]:
    """Return a fault for everything in a CreateGateway document whose effect is not built."""
    return list(_faults(document, path, GATEWAY, GATEWAY_VALUES))


def target_faults(document: Mapping[str, Any], path: str) -> list[Fault]:
    """Return a fault for everything in a CreateGatewayTarget document whose effect is not built."""
    return list(_faults(document, path, TARGET, TARGET_VALUES))


#: Members that a file must not hold and an API call may.
_OF_CALLS: Final = frozenset({"clientToken", "gatewayIdentifier"})


def operation_faults(operation: str, request: Mapping[str, Any]) -> list[Fault]:
    """Return a fault for everything in an API call's input whose effect is not built."""
    match operation:
        case "CreateGateway" | "UpdateGateway":
            found = gateway_faults(request, "")
        case "CreateGatewayTarget" | "UpdateGatewayTarget":
            found = target_faults(request, "")
        case _:
            found = []
    return [fault for fault in found if fault.path not in _OF_CALLS]


def outside(faults: list[Fault], refused: list[Fault]) -> list[Fault]:
    """Leave out what lies within something that is refused by name: it would only hide the reason."""
    paths = [fault.path for fault in refused]
    return [fault for fault in faults if not any(_within(fault.path, path) for path in paths)]


def _within(path: str, of: str) -> bool:
    return path == of or path.startswith((f"{of}.", f"{of}["))


def _faults(
    document: Mapping[str, Any],
    path: str,
    members: Mapping[str, str],
    values: tuple[tuple[str, str, str], ...],
) -> Iterator[Fault]:
    for dotted, message in members.items():
        if lookup(document, dotted) is not None:
            yield Fault(path=f"{path}.{dotted}" if path else dotted, message=message)
    for dotted, value, message in values:
        if lookup(document, dotted) == value:
            yield Fault(path=f"{path}.{dotted}" if path else dotted, message=message)


def lookup(document: Mapping[str, Any], dotted: str) -> object:
    """Return what stands at a dotted path of nested objects, None when nothing does."""
    value: object = document
    for name in dotted.split("."):
        if not isinstance(value, Mapping):
            return None
        value = cast("Mapping[str, object]", value).get(name)
    return value
