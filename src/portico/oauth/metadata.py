"""Authorization server metadata (RFC 8414, OpenID Connect Discovery): the document and where it is found."""

from typing import Any, Final
from urllib.parse import urlsplit

from portico.oauth.issuer_settings import IssuerSettings

ROOT: Final = "root"  #: name of the issuer that is the origin itself; every other one is ``/i/{name}``
CODE_CHALLENGE_METHODS: Final = ("S256",)  #: clients of the MCP specification must refuse a server without it
GRANTS: Final = ("authorization_code", "refresh_token", "client_credentials")
DOCUMENTS_SUPPORTED: Final = "client_id_metadata_document_supported"  #: the member that offers them
CLIENT_AUTHENTICATION: Final = ("none", "client_secret_basic", "client_secret_post")


def issuer_path(name: str) -> str:
    """Return the path of an issuer's URL; empty for the one that is the origin itself."""
    return "" if name == ROOT else f"/i/{name}"


def issuer_url(public_url: str, name: str) -> str:
    """Return the issuer's one URL, byte for byte the same in metadata, redirects and tokens, without a slash."""
    return public_url.rstrip("/") + issuer_path(name)


def authorization_server_metadata(issuer: str, settings: IssuerSettings, *, machines: bool = True) -> dict[str, Any]:
    """Return the RFC 8414 document. Nothing stands in it that is not served.

    ``machines`` tells whether programs get tokens for themselves here.
    """
    return {
        "issuer": issuer,
        "authorization_endpoint": f"{issuer}/authorize",
        "token_endpoint": f"{issuer}/token",
        "registration_endpoint": f"{issuer}/register",
        "revocation_endpoint": f"{issuer}/revoke",
        "introspection_endpoint": f"{issuer}/introspect",
        "jwks_uri": f"{issuer}/jwks",
        # offline_access stands here and never in a resource's metadata: clients may ask for it, resources do not.
        "scopes_supported": [*settings.scopes, "offline_access"],
        "response_types_supported": ["code"],
        "response_modes_supported": ["query"],
        "grant_types_supported": [grant for grant in GRANTS if machines or grant != "client_credentials"],
        "code_challenge_methods_supported": list(CODE_CHALLENGE_METHODS),
        "token_endpoint_auth_methods_supported": list(CLIENT_AUTHENTICATION),
        "revocation_endpoint_auth_methods_supported": list(CLIENT_AUTHENTICATION),
        "introspection_endpoint_auth_methods_supported": [name for name in CLIENT_AUTHENTICATION if name != "none"],
        "authorization_response_iss_parameter_supported": True,
        **({DOCUMENTS_SUPPORTED: True} if settings.client_documents.enabled else {}),
        "request_parameter_supported": False,
        "request_uri_parameter_supported": False,
        "claims_parameter_supported": False,
    }


def openid_configuration(issuer: str, settings: IssuerSettings, *, machines: bool = True) -> dict[str, Any]:
    """Return the document at the OpenID location: clients that find only this demand its required members."""
    return {
        **authorization_server_metadata(issuer, settings, machines=machines),
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["ES256"],
    }


def server_metadata_paths(path: str) -> tuple[str, ...]:
    """Return where the RFC 8414 document of an issuer whose URL has ``path`` is looked for: inserted, then appended."""
    return _well_known("oauth-authorization-server", path)


def openid_paths(path: str) -> tuple[str, ...]:
    """Return where the OpenID document of an issuer whose URL has ``path`` is looked for: inserted, then appended."""
    return _well_known("openid-configuration", path)


def discovery_urls(issuer: str) -> tuple[str, ...]:
    """Return every URL at which clients and gateways may look for the metadata of ``issuer``."""
    parts = urlsplit(issuer)
    paths = (*openid_paths(parts.path), *server_metadata_paths(parts.path))
    return tuple(f"{parts.scheme}://{parts.netloc}{path}" for path in paths)


def issuer_named_by(discovery_url: str, public_url: str) -> str | None:
    """Return the name of the issuer of ours that ``discovery_url`` means, served or not; None when it is foreign."""
    if discovery_url in discovery_urls(issuer_url(public_url, ROOT)):
        return ROOT
    below = issuer_url(public_url, "")
    for prefix in (below, *discovery_urls(below)):
        if discovery_url.startswith(prefix):
            return discovery_url.removeprefix(prefix).partition("/")[0]
    return None


def _well_known(document: str, path: str) -> tuple[str, ...]:
    """Both places of a document; for an empty path they are one (RFC 8414 section 3, OpenID Discovery section 4)."""
    inserted, appended = f"/.well-known/{document}{path}", f"{path}/.well-known/{document}"
    return (inserted,) if inserted == appended else (inserted, appended)
