"""From stored documents to values: the AWS request document plus our extension become a Gateway or a Target.

The documents were validated by ``control`` when they were saved (botocore's model, then
:class:`GatewayExtension` and :class:`TargetExtension`), so a failure here is a fault of ours.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Final, cast

import msgspec

from portico.model.credential import ApiKeyUse, ClientCredentialsUse, CredentialUse
from portico.model.gateway import (
    PROTOCOL_VERSIONS,
    AuthenticateOnlyAuthorizer,
    Authorizer,
    ClaimRule,
    Gateway,
    IamAuthorizer,
    JwtAuthorizer,
    NoAuthorizer,
)
from portico.model.secret import Secret
from portico.model.target import EraSetting, EraTools, McpServer, Propagation, Target, Tool

DEFAULT_PAGE_SIZE: Final = 200  #: tools; AWS does not publish its own (AWS-unverified)
MAX_PAGE_SIZE: Final = 1000  #: tools
#: seconds; devguide gateway-sessions. Sessions and streaming are opt-in as there.
DEFAULT_SESSION_TIMEOUT: Final = 3600
MAX_CONNECT_SECONDS: Final = 60
MAX_CALL_SECONDS: Final = 900  #: AWS's quota for one call: 15 minutes
DEFAULT_QUERY_PARAMETER: Final = "api_key"  #: that an API key stands in, where a target names none
MAX_CONCURRENCY: Final = 10_000
MIN_RESPONSE_BYTES: Final = 1024
MAX_RESPONSE_BYTES: Final = 64 * 1024 * 1024

_SESSION: Final = b"mcp-session-id"

_Seconds = Annotated[float, msgspec.Meta(gt=0, le=MAX_CALL_SECONDS)]


class GatewayExtension(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="camel"):
    """``x-portico`` of a gateway: what AWS's document has no place for."""

    page_size: Annotated[int, msgspec.Meta(ge=1, le=MAX_PAGE_SIZE)] = DEFAULT_PAGE_SIZE
    allowed_origins: tuple[str, ...] = ()
    allow_private_issuer: bool = False


class TargetExtension(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="camel"):
    """``x-portico`` of a target. Times are seconds."""

    era: EraSetting = "auto"
    connect_timeout: Annotated[float, msgspec.Meta(gt=0, le=MAX_CONNECT_SECONDS)] = 5.0
    call_timeout: _Seconds = 60.0
    idle_timeout: _Seconds = 60.0
    max_concurrency: Annotated[int, msgspec.Meta(ge=1, le=MAX_CONCURRENCY)] = 100
    max_response_bytes: Annotated[int, msgspec.Meta(ge=MIN_RESPONSE_BYTES, le=MAX_RESPONSE_BYTES)] = 6 * 1024 * 1024
    allow_private_addresses: bool = False
    ca_file: str = ""
    proxy: str = ""


class _StoredEra(msgspec.Struct, frozen=True):
    era: str
    version: str
    tools: list[msgspec.Raw]
    ttl_ms: int | None = None
    public: bool = False


class _Named(msgspec.Struct):
    name: str


def parse_gateway(
    *, gateway_id: str, document: Mapping[str, Any], extension: Mapping[str, Any], revision: int
) -> Gateway:
    """Compile a gateway's documents."""
    mcp: dict[str, Any] = document.get("protocolConfiguration", {}).get("mcp", {})
    own = msgspec.convert(dict(extension), GatewayExtension)
    sessions = mcp.get("sessionConfiguration")
    versions = cast("list[str]", mcp.get("supportedVersions") or PROTOCOL_VERSIONS)
    return Gateway(
        id=gateway_id,
        name=document["name"],
        authorizer=_authorizer(document, gateway_id),
        supported_versions=tuple(v for v in PROTOCOL_VERSIONS if v in versions),
        instructions=mcp.get("instructions", ""),
        debug=document.get("exceptionLevel") == "DEBUG",
        page_size=0 if mcp.get("disableMcpListToolsPagination") else own.page_size,
        session_timeout=0 if sessions is None else sessions.get("sessionTimeoutInSeconds", DEFAULT_SESSION_TIMEOUT),
        streaming=bool(mcp.get("streamingConfiguration", {}).get("enableResponseStreaming")),
        allowed_origins=frozenset(own.allowed_origins),
        allow_private_issuer=own.allow_private_issuer,
        revision=revision,
    )


def parse_target(
    *,
    target_id: str,
    gateway_id: str,
    document: Mapping[str, Any],
    extension: Mapping[str, Any],
    status: str,
    eras: bytes | None,
    revision: int,
) -> Target:
    """Compile a target's documents; ``eras`` is what :func:`dump_eras` wrote, None before the first sync."""
    own = msgspec.convert(dict(extension), TargetExtension)
    server = document["targetConfiguration"]["mcp"]["mcpServer"]
    return Target(
        id=target_id,
        name=document["name"],
        gateway_id=gateway_id,
        kind=McpServer(endpoint=server["endpoint"]),
        credential=parse_credential(document),
        propagation=_propagation(document.get("metadataConfiguration", {})),
        live_lists=server.get("listingMode") == "DYNAMIC",
        era=own.era,
        connect_timeout=own.connect_timeout,
        call_timeout=own.call_timeout,
        idle_timeout=own.idle_timeout,
        max_concurrency=own.max_concurrency,
        max_response_bytes=own.max_response_bytes,
        allow_private=own.allow_private_addresses,
        ca_file=own.ca_file,
        proxy=own.proxy,
        revision=revision,
        status=status,
        eras=load_eras(eras) if eras else (),
    )


def parse_credential(document: Mapping[str, Any]) -> CredentialUse | None:
    """Return which credential a CreateGatewayTarget document asks for, None for none.

    AWS does not publish what is meant where an API key's place is left out; here it is a bearer token's
    (AWS-unverified), and a query parameter has no prefix unless one is given.
    """
    configurations: list[dict[str, Any]] = document.get("credentialProviderConfigurations") or []
    if not configurations:
        return None
    kinds: dict[str, dict[str, Any]] = configurations[0].get("credentialProvider", {})
    if configurations[0]["credentialProviderType"] == "API_KEY":
        return _api_key(kinds["apiKeyCredentialProvider"])
    oauth = kinds["oauthCredentialProvider"]
    parameters: dict[str, str] = oauth.get("customParameters", {})
    return ClientCredentialsUse(
        provider=provider_name(oauth["providerArn"]),
        scopes=tuple(oauth["scopes"]),
        parameters=tuple((name, Secret(value)) for name, value in sorted(parameters.items())),
    )


def _propagation(metadata: Mapping[str, Any]) -> Propagation:
    """Return what is passed on. A target's session is never the client's to choose: the gateway keeps it by itself."""
    requested: list[str] = metadata.get("allowedRequestHeaders", [])
    answered: list[str] = metadata.get("allowedResponseHeaders", [])
    return Propagation(
        request_headers=frozenset(name.lower().encode() for name in requested) - {_SESSION},
        response_headers=frozenset(name.lower().encode() for name in answered),
        query_parameters=frozenset(metadata.get("allowedQueryParameters", ())),
    )


def provider_name(arn: str) -> str:
    """Return the name in the ARN of a credential provider, which is its last part."""
    return arn.rpartition("/")[2]


def _api_key(api_key: Mapping[str, Any]) -> ApiKeyUse:
    in_query = api_key.get("credentialLocation") == "QUERY_PARAMETER"
    name: str | None = api_key.get("credentialParameterName")
    # Under a header of its own a key stands alone; only Authorization has a scheme before it.
    usual = "Bearer" if name is None and not in_query else ""
    return ApiKeyUse(
        provider=provider_name(api_key["providerArn"]),
        location="query" if in_query else "header",
        parameter=name or (DEFAULT_QUERY_PARAMETER if in_query else "Authorization"),
        prefix=api_key.get("credentialPrefix", usual),
    )


def dump_eras(eras: tuple[EraTools, ...]) -> bytes:
    """Encode what a synchronization found, for the target's row."""
    stored = [
        _StoredEra(
            era=e.era,
            version=e.version,
            tools=[msgspec.Raw(t.definition) for t in e.tools],
            ttl_ms=e.ttl_ms,
            public=e.public,
        )
        for e in eras
    ]
    return msgspec.json.encode(stored)


def load_eras(text: bytes) -> tuple[EraTools, ...]:
    """Decode what :func:`dump_eras` wrote."""
    stored = msgspec.json.decode(text, type=list[_StoredEra])
    return tuple(
        EraTools(
            era="modern" if entry.era == "modern" else "legacy",
            version=entry.version,
            tools=tuple(
                Tool(name=msgspec.json.decode(raw, type=_Named).name, definition=bytes(raw)) for raw in entry.tools
            ),
            ttl_ms=entry.ttl_ms,
            public=entry.public,
        )
        for entry in stored
    )


def _authorizer(document: Mapping[str, Any], gateway_id: str) -> Authorizer:
    match document["authorizerType"]:
        case "NONE":
            return NoAuthorizer()
        case "AWS_IAM":
            return IamAuthorizer(gateway_id=gateway_id)
        case "AUTHENTICATE_ONLY":
            return AuthenticateOnlyAuthorizer()
        case _:
            return _jwt_authorizer(document["authorizerConfiguration"]["customJWTAuthorizer"])


def _jwt_authorizer(jwt: Mapping[str, Any]) -> JwtAuthorizer:
    scopes: list[str] = jwt.get("allowedScopes", [])
    mapping: dict[str, str] = jwt.get("advertisedScopeMapping", {})
    return JwtAuthorizer(
        discovery_url=jwt["discoveryUrl"],
        allowed_audience=frozenset(jwt.get("allowedAudience", ())),
        allowed_clients=frozenset(jwt.get("allowedClients", ())),
        allowed_scopes=frozenset(scopes),
        custom_claims=tuple(_claim_rule(entry) for entry in jwt.get("customClaims", ())),
        advertised_scopes=tuple(mapping.get(scope, scope) for scope in scopes),
    )


def _claim_rule(entry: Mapping[str, Any]) -> ClaimRule:
    matching = entry["authorizingClaimMatchValue"]
    value = matching["claimMatchValue"]
    values = value.get("matchValueStringList") or [value["matchValueString"]]
    return ClaimRule(
        claim=entry["inboundTokenClaimName"],
        value_type=entry["inboundTokenClaimValueType"],
        operator=matching["claimMatchOperator"],
        values=frozenset(values),
    )
