"""Authorization server metadata (RFC 8414, OpenID Connect Discovery): the document and where it is found."""

from typing import Any, Final

from portico.oauth.issuer_settings import IssuerSettings

CODE_CHALLENGE_METHODS: Final = ("S256",)  #: clients of the MCP specification must refuse a server without it
GRANTS: Final = ("authorization_code", "refresh_token", "client_credentials")
CLIENT_AUTHENTICATION: Final = ("none", "client_secret_basic", "client_secret_post")


def issuer_url(public_url: str, name: str) -> str:
    """Return the issuer's one URL, byte for byte the same in metadata, redirects and tokens, without a slash."""
    return f"{public_url.rstrip('/')}/i/{name}"


def authorization_server_metadata(issuer: str, settings: IssuerSettings) -> dict[str, Any]:
    """Return the RFC 8414 document. Nothing stands in it that is not served."""
    return {
        "issuer": issuer,
        "authorization_endpoint": f"{issuer}/authorize",
        "token_endpoint": f"{issuer}/token",
        "registration_endpoint": f"{issuer}/register",
        "revocation_endpoint": f"{issuer}/revoke",
        "jwks_uri": f"{issuer}/jwks",
        # offline_access stands here and never in a resource's metadata: clients may ask for it, resources do not.
        "scopes_supported": [*settings.scopes, "offline_access"],
        "response_types_supported": ["code"],
        "response_modes_supported": ["query"],
        "grant_types_supported": list(GRANTS),
        "code_challenge_methods_supported": list(CODE_CHALLENGE_METHODS),
        "token_endpoint_auth_methods_supported": list(CLIENT_AUTHENTICATION),
        "revocation_endpoint_auth_methods_supported": list(CLIENT_AUTHENTICATION),
        "authorization_response_iss_parameter_supported": True,
        "request_parameter_supported": False,
        "request_uri_parameter_supported": False,
        "claims_parameter_supported": False,
    }


def openid_configuration(issuer: str, settings: IssuerSettings) -> dict[str, Any]:
    """Return the document at the OpenID location: clients that find only this demand its required members."""
    return {
        **authorization_server_metadata(issuer, settings),
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["ES256"],
    }


def well_known_paths(path: str) -> tuple[str, ...]:
    """Return where clients look for an issuer whose URL has ``path``: inserted (RFC 8414 section 3), then appended."""
    return (
        f"/.well-known/oauth-authorization-server{path}",
        f"/.well-known/openid-configuration{path}",
        f"{path}/.well-known/oauth-authorization-server",
        f"{path}/.well-known/openid-configuration",
    )
