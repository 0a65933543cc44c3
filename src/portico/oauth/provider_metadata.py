"""What an identity provider says of itself (OpenID Connect Discovery 1.0, RFC 8414), judged. Pure.

The document is a stranger's: it speaks for the issuer only whose URL it was fetched from, and every endpoint in it is
https, or plain http where the connector may call private addresses (incidents T6, T16). Where it may be called at all
is judged again at each dial.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, cast
from urllib.parse import urlsplit

from portico.oauth.discovery import MAX_URL_CHARS, DiscoveryFault, issuers_of, read_issuer

MAX_LISTED: Final = 1000  #: entries of a list that are read

_VISIBLE = re.compile(r"[!-~]+\Z", re.ASCII)
_UNSAFE = re.compile(r"[\\\"<>^`{|}]")


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderMetadata:
    """Where a provider's endpoints are, and what it can. An empty URL: it has none."""

    issuer: str  #: for Entra's several tenants with ``{tenantid}`` in it
    authorization_endpoint: str
    token_endpoint: str
    jwks_uri: str = ""
    userinfo_endpoint: str = ""
    emails_endpoint: str = ""  #: GitHub's list of a person's addresses
    revocation_endpoint: str = ""
    end_session_endpoint: str = ""
    sends_iss: bool = False  #: RFC 9207 section 3
    scopes: frozenset[str] = frozenset()  #: empty: it does not say
    token_auth_methods: frozenset[str] = frozenset()  #: empty: it does not say, which means basic


def read_provider(
    document: Mapping[str, Any], discovery_url: str, *, plain: bool, template: str = ""
) -> ProviderMetadata:
    """Return what ``document`` says.

    ``plain`` permits http; ``template`` is an issuer's placeholder in place of the discovery URL's first path segment.

    Raises:
        DiscoveryFault: it speaks for another issuer, or an endpoint is missing or not safe to use.
    """
    issuer = _templated(document, discovery_url, template) or read_issuer(document, discovery_url)
    return ProviderMetadata(
        issuer=issuer,
        authorization_endpoint=_endpoint(document, "authorization_endpoint", plain=plain),
        token_endpoint=_endpoint(document, "token_endpoint", plain=plain),
        jwks_uri=_endpoint(document, "jwks_uri", plain=plain),
        userinfo_endpoint=_endpoint(document, "userinfo_endpoint", plain=plain, optional=True),
        revocation_endpoint=_endpoint(document, "revocation_endpoint", plain=plain, optional=True),
        end_session_endpoint=_endpoint(document, "end_session_endpoint", plain=plain, optional=True),
        sends_iss=document.get("authorization_response_iss_parameter_supported") is True,
        scopes=_texts(document, "scopes_supported"),
        token_auth_methods=_texts(document, "token_endpoint_auth_methods_supported"),
    )


def _templated(document: Mapping[str, Any], discovery_url: str, template: str) -> str:
    """Return an issuer that has ``template`` where the URL says ``common``; empty when it is no such issuer."""
    issuer: object = document.get("issuer")
    if not template or not isinstance(issuer, str) or template not in issuer:
        return ""
    for expected in issuers_of(discovery_url):
        parts = urlsplit(expected)
        first, _, rest = parts.path.removeprefix("/").partition("/")
        if first and issuer == f"{parts.scheme}://{parts.netloc}/{template}/{rest}":
            return issuer
    return ""


def _endpoint(document: Mapping[str, Any], name: str, *, plain: bool, optional: bool = False) -> str:
    url: object = document.get(name)
    if optional and not url:
        return ""
    if not isinstance(url, str) or not url or len(url) > MAX_URL_CHARS:
        raise DiscoveryFault(f"The document has no {name}.")
    if not is_endpoint(url, plain=plain):
        raise DiscoveryFault(
            f"The document's {name} is not an https URL without user information and fragment"
            " (http needs allowPrivate)."
        )
    return url


def is_endpoint(url: str, *, plain: bool) -> bool:
    """Tell whether ``url`` may be called or a browser sent there; ``plain`` permits http."""
    if not _VISIBLE.match(url) or _UNSAFE.search(url) or "#" in url:
        return False
    try:
        parts = urlsplit(url)
        _ = parts.port  # raises for what is no number
    except ValueError:
        return False
    return (
        parts.scheme in ({"https", "http"} if plain else {"https"}) and bool(parts.hostname) and "@" not in parts.netloc
    )


def _texts(document: Mapping[str, Any], name: str) -> frozenset[str]:
    value: object = document.get(name)
    listed = cast("list[object]", value)[:MAX_LISTED] if isinstance(value, list) else []
    return frozenset(entry for entry in listed if isinstance(entry, str))
