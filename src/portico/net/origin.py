"""The part of a URL that a connection is made to."""

import re
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from typing import Final
from urllib.parse import SplitResult, urlsplit

from portico.model.errors import EgressDenied

MAX_URL_CHARS: Final = 2048
DEFAULT_PORTS: Final = {"http": 80, "https": 443}

_FORBIDDEN = re.compile(r"[^!-~]|[\\\"<>^`{|}]")
_HOST_NAME = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?:\.[a-z0-9_-]{1,63})*\.?\Z")
#: WHATWG URL "ends in a number": ``127.1``, ``0x7f.1`` and ``2130706433`` are addresses to some resolvers.
_ENDS_IN_NUMBER = re.compile(r"(?:.*\.)?(?:[0-9]+|0x[0-9a-f]*)\.?\Z")


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Scheme, host and port of a URL (RFC 6454), the host in lower case and without brackets."""

    scheme: str
    host: str
    port: int

    @property
    def address(self) -> IPv4Address | IPv6Address | None:
        """The host as an address, or None when it is a name."""
        return literal_address(self.host)

    @property
    def authority(self) -> str:
        """``host[:port]`` as a Host header has it (RFC 9110 section 7.2)."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == DEFAULT_PORTS[self.scheme] else f"{host}:{self.port}"


def parse_origin(url: str) -> Origin:
    """Read the origin of an absolute ``http`` or ``https`` URL, strictly.

    What two parsers could read differently is refused: backslashes, control characters, spaces, userinfo, numbers
    that only some resolvers take for addresses, names that are not ASCII.

    Raises:
        EgressDenied: the URL is not one that Portico would call.
    """
    if len(url) > MAX_URL_CHARS:
        raise EgressDenied(f"The URL is longer than {MAX_URL_CHARS} characters.")
    if _FORBIDDEN.search(url):
        raise EgressDenied("The URL holds a character that must be percent-encoded (or a host name in punycode).")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise EgressDenied("The URL cannot be read.", detail=str(error)) from error
    if parts.scheme not in DEFAULT_PORTS:
        raise EgressDenied("The URL must begin with https:// (or http:// for a private address).")
    if "@" in parts.netloc:
        raise EgressDenied("The URL must not hold a user name or password.")
    if port == 0:
        raise EgressDenied("The URL names port 0.")
    return Origin(scheme=parts.scheme, host=_host(parts), port=port or DEFAULT_PORTS[parts.scheme])


def literal_address(host: str) -> IPv4Address | IPv6Address | None:
    """Return ``host`` as an address when it is written as one in canonical form, else None."""
    try:
        return IPv6Address(host) if ":" in host else IPv4Address(host)
    except ValueError:
        return None


def _host(parts: SplitResult) -> str:
    host = parts.hostname or ""
    bracketed = parts.netloc.startswith("[")
    if literal_address(host) is not None and bracketed == (":" in host):
        return host
    if bracketed or _HOST_NAME.match(host) is None:
        raise EgressDenied("The URL has no valid host name.", detail=host)
    if _ENDS_IN_NUMBER.match(host):
        raise EgressDenied("The URL's host looks like an IP address but is not written as one.", detail=host)
    return host
