"""Whether a gateway's or a target's documents may be saved: the model, what is not built, and what fits together.

Pure. Both are judged in the same steps: (1) what is not built is refused by name, (2) AWS's model without the
relaxed constraints, (3) rules across members that the model cannot express, (4) our extension. A fault of step 2 or
3 that lies within something refused in step 1 is left out: it would only hide the reason.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final, cast

from portico.control import not_built
from portico.control.extensions import extension_faults
from portico.control.not_built import lookup, outside
from portico.control.outbound import outbound_faults
from portico.control.propagation import metadata_faults, session_faults
from portico.control.quotas import DEFAULT_QUOTAS, Quotas
from portico.control.relaxations import RELAXED, Ground, may_be_plain_http, restricts_nobody, split_url
from portico.control.shapes import check_shape, member_path
from portico.control.tags import tag_faults
from portico.control.tool_schemas import schema_faults
from portico.model.documents import GatewayExtension, TargetExtension
from portico.model.errors import EgressDenied, Fault
from portico.model.gateway import PROTOCOL_VERSIONS
from portico.net.egress import Egress

EXTENSION_KEY: Final = "x-portico"

_ORIGIN = re.compile(r"[a-z][a-z0-9+.-]{0,30}://([a-z0-9.-]{1,253}|\[[0-9a-f:.]{2,45}\])(:[0-9]{1,5})?\Z")
_JWT: Final = "authorizerConfiguration.customJWTAuthorizer"
_WITHOUT_CONFIGURATION: Final = ("NONE", "AWS_IAM", "AUTHENTICATE_ONLY")
_ENDPOINT: Final = "targetConfiguration.mcp.mcpServer.endpoint"


def gateway_faults(
    document: Mapping[str, Any], extension: Mapping[str, Any], *, ground: Ground, path: str = ""
) -> list[Fault]:
    """Return everything for which a CreateGateway document and its extension are refused."""
    refused = not_built.gateway_faults(document, path)
    judged = check_shape("CreateGatewayRequest", document, path=path, relaxed=RELAXED)
    judged += _across_gateway(document, ground, path)
    tags: object = document.get("tags")
    if isinstance(tags, dict):
        judged += tag_faults(cast("dict[str, object]", tags), member_path(path, "tags"))
    return [
        *refused,
        *outside(judged, refused),
        *extension_faults(extension, GatewayExtension, member_path(path, EXTENSION_KEY)),
        *_origin_faults(extension, member_path(path, EXTENSION_KEY)),
    ]


def target_faults(
    document: Mapping[str, Any],
    extension: Mapping[str, Any],
    *,
    egress: Egress,
    gateway: Mapping[str, Any] | None = None,
    quotas: Quotas = DEFAULT_QUOTAS,
    path: str = "",
) -> list[Fault]:
    """Return everything for which a CreateGatewayTarget document and its extension are refused.

    With the document of its ``gateway`` what does not fit that is refused too.
    """
    refused = not_built.target_faults(document, path)
    judged = check_shape("CreateGatewayTargetRequest", document, path=path, relaxed=RELAXED)
    judged += _across_target(document, extension, egress, path)
    own = [*schema_faults(document, quotas), *metadata_faults(document), *on_gateway_faults(document, gateway or {})]
    judged += [Fault(path=member_path(path, fault.path), message=fault.message) for fault in own]
    return [
        *refused,
        *outside(judged, refused),
        *extension_faults(extension, TargetExtension, member_path(path, EXTENSION_KEY)),
        *_network_faults(extension, member_path(path, EXTENSION_KEY)),
    ]


def on_gateway_faults(document: Mapping[str, Any], gateway: Mapping[str, Any]) -> list[Fault]:
    """Return for what a target's document is refused under a gateway's; both are judged when either changes."""
    return [*session_faults(document, gateway), *outbound_faults(document, gateway)]


def _across_gateway(document: Mapping[str, Any], ground: Ground, path: str) -> Iterator[Fault]:
    if "protocolType" not in document:
        yield Fault(
            path=member_path(path, "protocolType"),
            message="must be MCP; gateways without it (for HTTP targets) are not built yet",
        )
    versions = lookup(document, "protocolConfiguration.mcp.supportedVersions")
    for index, version in enumerate(cast("list[object]", versions) if isinstance(versions, list) else ()):
        if isinstance(version, str) and version not in PROTOCOL_VERSIONS:
            where = member_path(path, f"protocolConfiguration.mcp.supportedVersions[{index}]")
            yield Fault(path=where, message=f"is not a known revision; known are: {', '.join(PROTOCOL_VERSIONS)}")
    if versions == []:
        where = member_path(path, "protocolConfiguration.mcp.supportedVersions")
        yield Fault(path=where, message="must name at least one revision; leave it out to offer all")
    yield from _authorizer_faults(document, ground, path)


def _authorizer_faults(document: Mapping[str, Any], ground: Ground, path: str) -> Iterator[Fault]:
    kind = document.get("authorizerType")
    jwt = lookup(document, _JWT)
    if kind in _WITHOUT_CONFIGURATION and "authorizerConfiguration" in document:
        yield Fault(
            path=member_path(path, "authorizerConfiguration"),
            message=f"has no effect with authorizerType {kind}; leave it out, or use CUSTOM_JWT",
        )
    if kind != "CUSTOM_JWT":
        return
    if not isinstance(jwt, dict):
        yield Fault(path=member_path(path, _JWT), message="is required with authorizerType CUSTOM_JWT")
        return
    yield from _jwt_faults(cast("dict[str, Any]", jwt), ground, member_path(path, _JWT))


def _jwt_faults(jwt: Mapping[str, Any], ground: Ground, path: str) -> Iterator[Fault]:
    url: object = jwt.get("discoveryUrl")
    if isinstance(url, str):
        yield from _discovery_faults(jwt, url, ground, path)
    claims: object = jwt.get("customClaims")
    if isinstance(claims, list):
        for index, claim in enumerate(cast("list[object]", claims)):
            if isinstance(claim, dict):
                yield from _claim_faults(cast("dict[str, Any]", claim), f"{path}.customClaims[{index}]")
    scopes: object = jwt.get("allowedScopes")
    mapping: object = jwt.get("advertisedScopeMapping")
    if isinstance(mapping, dict):
        known = cast("list[object]", scopes) if isinstance(scopes, list) else []
        for scope in cast("dict[object, object]", mapping):
            if scope not in known:
                where = f"{path}.advertisedScopeMapping[{scope!r}]"
                yield Fault(path=where, message="is not one of allowedScopes, so it is never advertised")


def _discovery_faults(jwt: Mapping[str, Any], url: str, ground: Ground, path: str) -> Iterator[Fault]:
    where = f"{path}.discoveryUrl"
    own = ground.own_issuer(url)
    if own is not None:
        if own not in ground.issuers:
            known = ", ".join(sorted(ground.issuers)) or "none"
            yield Fault(path=where, message=f"names an issuer of ours that is not declared; declared are: {known}")
        elif url not in ground.discovery_urls(own):
            yield Fault(path=where, message=f"must be {ground.discovery_urls(own)[0]} for this issuer")
        return
    if not may_be_plain_http(url):
        yield Fault(path=where, message="must be https (http is accepted on loopback only)")
    if restricts_nobody(jwt):
        yield Fault(
            path=path,
            message="needs one of allowedAudience, allowedClients, allowedScopes, customClaims: "
            "without it every token of that issuer, for whatever it was made, would be accepted",
        )


def _claim_faults(claim: Mapping[str, Any], path: str) -> Iterator[Fault]:
    """Judge one custom claim: type, operator and value belong together (guide, inbound-jwt-authorizer)."""
    operator = lookup(claim, "authorizingClaimMatchValue.claimMatchOperator")
    value = lookup(claim, "authorizingClaimMatchValue.claimMatchValue")
    if not isinstance(operator, str) or not isinstance(value, dict):
        return  # the shape check says so
    kind = claim.get("inboundTokenClaimValueType")
    allowed = {"STRING": ("EQUALS",), "STRING_ARRAY": ("CONTAINS", "CONTAINS_ANY")}
    if isinstance(kind, str) and operator not in allowed.get(kind, (operator,)):
        where = f"{path}.authorizingClaimMatchValue.claimMatchOperator"
        yield Fault(path=where, message=f"must be {' or '.join(allowed[kind])} for a {kind} claim")
    member = "matchValueStringList" if operator == "CONTAINS_ANY" else "matchValueString"
    if member not in value:
        where = f"{path}.authorizingClaimMatchValue.claimMatchValue"
        yield Fault(path=where, message=f"must be a {member} for {operator}")


def _across_target(
    document: Mapping[str, Any], extension: Mapping[str, Any], egress: Egress, path: str
) -> Iterator[Fault]:
    if "name" not in document:
        yield Fault(path=member_path(path, "name"), message="is required")
    endpoint = lookup(document, _ENDPOINT)
    if not isinstance(endpoint, str):
        return
    allow_private = extension.get("allowPrivateAddresses") is True
    try:
        egress.check_url(endpoint, allow_private=allow_private)
    except EgressDenied as error:
        yield Fault(path=member_path(path, _ENDPOINT), message=error.public)


def is_origin_rule(text: str) -> bool:
    """Tell whether ``text`` is an origin as browsers send it, or the ``*`` that stands for all of them."""
    return text == "*" or _ORIGIN.match(text) is not None


def _origin_faults(extension: Mapping[str, Any], path: str) -> Iterator[Fault]:
    """Judge origins as browsers send them: they are compared byte for byte (RFC 6454 section 6.2)."""
    origins: object = extension.get("allowedOrigins")
    for index, origin in enumerate(cast("list[object]", origins) if isinstance(origins, list) else ()):
        if isinstance(origin, str) and not is_origin_rule(origin):
            where = member_path(path, f"allowedOrigins[{index}]")
            yield Fault(path=where, message="must be * or an origin in lower case like https://app.example:8443")


def _network_faults(extension: Mapping[str, Any], path: str) -> Iterator[Fault]:
    proxy: object = extension.get("proxy")
    if isinstance(proxy, str) and proxy:
        parts = split_url(proxy)
        if parts is None or parts.scheme != "http" or parts.path not in {"", "/"} or parts.query or parts.username:
            yield Fault(path=member_path(path, "proxy"), message="must be http://host:port")
    ca_file: object = extension.get("caFile")
    if isinstance(ca_file, str) and ca_file and not ca_file.startswith("/"):
        yield Fault(path=member_path(path, "caFile"), message="must be an absolute path")
