"""``metadataConfiguration``: which headers and query parameters a target may be handed, and may answer with. Pure.

The names that are refused are AWS's (developer guide, page gateway-headers): a caller must not be able to speak for
the gateway's credentials, for the transport or for a proxy in front of it.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final, cast
from urllib.parse import parse_qsl, urlsplit

from portico.control.not_built import lookup
from portico.model.documents import DEFAULT_QUERY_PARAMETER
from portico.model.errors import Fault

METADATA: Final = "metadataConfiguration"
MAX_NAMES: Final = 10  #: of each list, by the service model
SESSION_HEADER: Final = "mcp-session-id"

_HEADER_NAME = re.compile(r"[A-Za-z0-9_-]+")
_PREFIX: Final = "x-amzn-"
_CUSTOM_PREFIX: Final = "x-amzn-bedrock-agentcore-runtime-custom-"

# fmt: off
RESTRICTED: Final = frozenset((
    "authorization", "proxy-authorization", "www-authenticate", "accept", "accept-charset", "accept-encoding",
    "accept-language", "content-type", "content-length", "content-encoding", "content-language",
    "content-location", "content-range", "cache-control", "etag", "expires", "if-match", "if-modified-since",
    "if-none-match", "if-range", "if-unmodified-since", "last-modified", "pragma", "vary", "connection",
    "keep-alive", "proxy-connection", "upgrade", "host", "user-agent", "referer", "from", "range",
    "accept-ranges", "transfer-encoding", "te", "trailer", "server", "date", "location", "retry-after",
    "set-cookie", "cookie", "content-security-policy", "content-security-policy-report-only",
    "strict-transport-security", "x-content-type-options", "x-frame-options", "x-xss-protection",
    "referrer-policy", "permissions-policy", "cross-origin-embedder-policy", "cross-origin-opener-policy",
    "cross-origin-resource-policy", "access-control-allow-origin", "access-control-allow-methods",
    "access-control-allow-headers", "access-control-allow-credentials", "access-control-expose-headers",
    "access-control-max-age", "access-control-request-method", "access-control-request-headers", "origin",
    "accept-ch", "accept-ch-lifetime", "dpr", "width", "viewport-width", "downlink", "ect", "rtt", "save-data",
    "clear-site-data", "feature-policy", "expect-ct", "public-key-pins", "public-key-pins-report-only",
    "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "x-real-ip", "x-requested-with",
    "x-csrf-token", "cf-ray", "cf-connecting-ip", "x-amz-cf-id", "x-cache", "x-served-by", "link",
    "sec-websocket-key", "sec-websocket-accept", "sec-websocket-version", "sec-websocket-protocol",
    "sec-websocket-extensions",
))
# fmt: on
#: Beyond AWS's list: what the two sides of a hop and the protocol itself say with.
OURS: Final = frozenset(
    {"forwarded", "mcp-protocol-version", "mcp-method", "mcp-name", "last-event-id", "expect", "x-request-id"}
)
_OUR_PREFIXES: Final = ("mcp-param-", "access-control-")
_ENDPOINT: Final = "targetConfiguration.mcp.mcpServer.endpoint"


def metadata_faults(document: Mapping[str, Any]) -> list[Fault]:
    """Return everything for which the ``metadataConfiguration`` of a CreateGatewayTarget document is refused."""
    return [
        *_header_faults(document, "allowedRequestHeaders"),
        *_header_faults(document, "allowedResponseHeaders"),
        *_parameter_faults(document),
        *_key_faults(document),
    ]


def session_faults(document: Mapping[str, Any], gateway: Mapping[str, Any]) -> list[Fault]:
    """Return what a target's document must not say because its gateway keeps sessions (page gateway-sessions)."""
    if lookup(gateway, "protocolConfiguration.mcp.sessionConfiguration") is None:
        return []
    return [
        Fault(path=path, message="must not be Mcp-Session-Id: the gateway keeps sessions (sessionConfiguration) itself")
        for member in ("allowedRequestHeaders", "allowedResponseHeaders")
        for path, name in _names(document, member)
        if name.lower() == SESSION_HEADER
    ]


def _header_faults(document: Mapping[str, Any], member: str) -> Iterator[Fault]:
    seen: set[str] = set()
    for path, name in _names(document, member):
        lower = name.lower()
        if _HEADER_NAME.fullmatch(name) is None:
            yield Fault(path=path, message="must have only letters, digits, - and _")
        elif lower in RESTRICTED | OURS or lower.startswith(_OUR_PREFIXES):
            yield Fault(path=path, message=f"must not be {name}: this header is never passed on")
        elif lower.startswith(_PREFIX) and not lower.startswith(_CUSTOM_PREFIX):
            yield Fault(path=path, message=f"must not begin with X-Amzn- (unless with {_CUSTOM_PREFIX})")
        elif lower in seen:
            yield Fault(path=path, message="repeats another entry")
        seen.add(lower)


def _parameter_faults(document: Mapping[str, Any]) -> Iterator[Fault]:
    """A caller must not add to what the endpoint's own query says: servers read the first or the last of two."""
    fixed = _endpoint_parameters(document)
    seen: set[str] = set()
    for path, name in _names(document, "allowedQueryParameters"):
        if name in fixed:
            yield Fault(path=path, message="must not be a parameter that stands in the endpoint's own query")
        elif name in seen:
            yield Fault(path=path, message="repeats another entry")
        seen.add(name)


def _key_faults(document: Mapping[str, Any]) -> Iterator[Fault]:
    """Where the gateway's API key stands nobody else may write."""
    for index, key in _api_keys(document):
        name = key.get("credentialParameterName")
        if key.get("credentialLocation") == "QUERY_PARAMETER":
            taken = name if isinstance(name, str) else DEFAULT_QUERY_PARAMETER
            if taken in _endpoint_parameters(document):
                path = f"credentialProviderConfigurations[{index}].credentialProvider.apiKeyCredentialProvider"
                message = f"must not be {taken}: it stands in the endpoint's own query"
                yield Fault(path=f"{path}.credentialParameterName", message=message)
            for path, other in _names(document, "allowedQueryParameters"):
                if other == taken:
                    yield Fault(path=path, message=f"must not be {taken}: the target's API key is sent in it")
        elif isinstance(name, str):
            for path, other in _names(document, "allowedRequestHeaders"):
                if other.lower() == name.lower():
                    yield Fault(path=path, message=f"must not be {other}: the target's API key is sent in it")


def _api_keys(document: Mapping[str, Any]) -> Iterator[tuple[int, Mapping[str, object]]]:
    listed: object = document.get("credentialProviderConfigurations")
    for index, entry in enumerate(cast("list[object]", listed) if isinstance(listed, list) else ()):
        if isinstance(entry, Mapping):
            key = lookup(cast("Mapping[str, object]", entry), "credentialProvider.apiKeyCredentialProvider")
            if isinstance(key, Mapping):
                yield index, cast("Mapping[str, object]", key)


def _endpoint_parameters(document: Mapping[str, Any]) -> frozenset[str]:
    endpoint = lookup(document, _ENDPOINT)
    if not isinstance(endpoint, str):
        return frozenset()
    try:
        query = urlsplit(endpoint).query
    except ValueError:  # its own rule says so
        return frozenset()
    return frozenset(name for name, _ in parse_qsl(query, keep_blank_values=True))


def _names(document: Mapping[str, Any], member: str) -> Iterator[tuple[str, str]]:
    listed = lookup(document, f"{METADATA}.{member}")
    for index, name in enumerate(cast("list[object]", listed) if isinstance(listed, list) else ()):
        if isinstance(name, str):
            yield f"{METADATA}.{member}[{index}]", name
