"""Protected resources: their canonical URLs and their metadata (RFC 8707, RFC 9728).

A gateway's resource is the very URL that clients use: some compare it byte for byte with the URL they were given.
"""

import re
from collections.abc import Sequence
from typing import Any, Final
from urllib.parse import urlsplit

from portico.model.errors import InputError
from portico.oauth.scope import advertised

WELL_KNOWN: Final = "/.well-known/oauth-protected-resource"
MAX_RESOURCE_CHARS: Final = 2048

_DEFAULT_PORTS = {"http": 80, "https": 443}
_URL_CHARACTERS = re.compile(r"[A-Za-z0-9._~:/?#@!$&'()*+,;=%\[\]-]+\Z")  # RFC 3986 section 2


def gateway_resource(public_url: str, gateway_id: str) -> str:
    """Return the resource of a gateway: the URL of its MCP endpoint."""
    return f"{public_url.rstrip('/')}/g/{gateway_id}/mcp"


def target_resource(public_url: str, gateway_id: str, target: str) -> str:
    """Return the resource of the endpoint of one target."""
    return f"{gateway_resource(public_url, gateway_id)}/{target}"


def metadata_url(resource: str) -> str:
    """Return where the metadata of ``resource`` stands: the well-known part before the path (RFC 9728 section 3.1)."""
    parts = urlsplit(resource)
    return f"{parts.scheme}://{parts.netloc}{WELL_KNOWN}{parts.path.rstrip('/')}"


def protected_resource_metadata(
    *, resource: str, authorization_servers: Sequence[str], scopes: Sequence[str] = (), name: str = ""
) -> dict[str, Any]:
    """Return the metadata document of ``resource`` (RFC 9728 section 2).

    ``authorization_servers`` are issuers, byte for byte as they stand in their own metadata. ``scopes_supported`` is
    the least that is needed: clients ask for all of it.
    """
    document: dict[str, Any] = {"resource": resource, "authorization_servers": list(authorization_servers)}
    asked = advertised(scopes)
    if asked:
        document["scopes_supported"] = list(asked)
    document["bearer_methods_supported"] = ["header"]
    if name:
        document["resource_name"] = name
    return document


def canonical_resource(text: str) -> str:
    """Return the canonical form of a ``resource`` parameter (RFC 8707 section 2, MCP "Canonical Server URI").

    Scheme and host in lower case, no default port, no trailing slash. Nothing else is normalised: two spellings of a
    path are two resources.

    Raises:
        InputError: not an absolute http(s) URL, or one with a fragment, userinfo or query.
    """
    if len(text) > MAX_RESOURCE_CHARS or _URL_CHARACTERS.match(text) is None:
        raise InputError("resource is not a URL.")
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError as error:
        raise InputError("resource is not a URL.") from error
    scheme = parts.scheme.lower()
    if scheme not in _DEFAULT_PORTS or not parts.hostname:
        raise InputError("resource must be an absolute http or https URL.")
    if "#" in text or "?" in text or "@" in parts.netloc:
        raise InputError("resource must have no fragment, query or userinfo.")
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    authority = host if port is None or port == _DEFAULT_PORTS[scheme] else f"{host}:{port}"
    return f"{scheme}://{authority}{parts.path.rstrip('/')}"
