"""Discovery of a foreign issuer (RFC 8414, OpenID Connect Discovery): from a URL to issuer, keys and endpoints. Pure.

The document is believed only about the issuer whose location it was fetched from; otherwise any server could speak for
any issuer (RFC 8414 section 3.3, "mix-up").
"""

from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import SplitResult, urlsplit

WELL_KNOWN_NAMES: Final = ("openid-configuration", "oauth-authorization-server")
MAX_URL_CHARS: Final = 2048


class DiscoveryFault(ValueError):
    """A discovery URL or document cannot be used; the text says why and what would fix it."""


def issuers_of(discovery_url: str) -> tuple[str, ...]:
    """Return the issuers whose metadata may stand at ``discovery_url``.

    Both forms for an issuer with a path: inserted before it (RFC 8414 section 3.1) and appended to it (OpenID Connect
    Discovery section 4.1). Both specifications drop a trailing slash of the issuer, so there is one with and one
    without: Auth0's issuer ends with a slash, most do not.

    Raises:
        DiscoveryFault: it is not the location of any issuer's metadata.
    """
    parts = _split(discovery_url)
    for name in WELL_KNOWN_NAMES:
        before, found, after = parts.path.partition(f"/.well-known/{name}")
        if found and not (before and after) and (not after or after.startswith("/")):
            issuer = f"{parts.scheme}://{parts.netloc}{before or after}".rstrip("/")
            return (issuer, f"{issuer}/")
    raise DiscoveryFault(
        "discoveryUrl must be an issuer's URL with /.well-known/openid-configuration or "
        "/.well-known/oauth-authorization-server in it."
    )


def read_metadata(document: Mapping[str, Any], discovery_url: str) -> tuple[str, str]:
    """Return the issuer and its ``jwks_uri``.

    Raises:
        DiscoveryFault: the issuer is another than the URL says, or the keys' URL is missing or less safe.
    """
    return read_issuer(document, discovery_url), read_url(document, "jwks_uri", discovery_url)


def read_issuer(document: Mapping[str, Any], discovery_url: str) -> str:
    """Return the issuer that the document speaks for.

    Raises:
        DiscoveryFault: it is another than the document's URL says.
    """
    issuer: object = document.get("issuer")
    expected = issuers_of(discovery_url)
    if not isinstance(issuer, str) or issuer not in expected:
        raise DiscoveryFault(
            f"The document names the issuer {str(issuer)[:200]!r}, but its URL belongs to {expected[0]!r}: "
            "use the discoveryUrl of that very issuer."
        )
    return issuer


def read_url(document: Mapping[str, Any], name: str, discovery_url: str) -> str:
    """Return the URL in the member ``name``.

    Raises:
        DiscoveryFault: there is none, or it is plain http although the document came over https.
    """
    url: object = document.get(name)
    if not isinstance(url, str) or len(url) > MAX_URL_CHARS:
        raise DiscoveryFault(f"The document has no {name}.")
    schemes = {"https", _split(discovery_url).scheme}  # never from https down to http
    if _split(url).scheme not in schemes:
        raise DiscoveryFault(f"The document's {name} is not https.")
    return url


def _split(url: str) -> SplitResult:
    try:
        return urlsplit(url)
    except ValueError as error:
        raise DiscoveryFault(f"{url[:200]!r} is not a URL.") from error
