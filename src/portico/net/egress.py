"""One rule for everything that goes out: which URLs may be saved and which addresses may be dialled.

The address that was checked is the address that is dialled: callers connect to what :meth:`Egress.resolve`
returned and never hand a host name to a connect function, so a name that answers differently a moment later
(DNS rebinding) gains nothing. Incidents: redirects and first hops to metadata services (GHSA-3768-rwj3-38p2,
CVE-2026-26118), IPv4 addresses embedded in IPv6 ones (CVE-2026-44430), checks at save but not at use
(CVE-2026-44284).
"""

import asyncio
import socket
from collections.abc import Awaitable, Callable
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Final, Literal

from portico.model.errors import EgressDenied, UpstreamUnreachable
from portico.net.origin import Origin, literal_address, parse_origin

MAX_CANDIDATES: Final = 8  #: addresses of one name that are looked at

#: Resolves a host name and a port to addresses.
Lookup = Callable[[str, int], Awaitable[list[str]]]

Address = IPv4Address | IPv6Address
_Kind = Literal["public", "private", "never"]

#: Reachable with a permission: loopback, RFC 1918, shared space (RFC 6598: pods, overlays), unique local.
_PRIVATE: Final = tuple(
    map(IPv4Network, ("127.0.0.0/8", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10"))
) + tuple(map(IPv6Network, ("::1/128", "fc00::/7")))

#: Never reachable: metadata services outside the link-local ranges, and IPv6 forms that hide an IPv4 address.
_NEVER: Final = (
    IPv4Network("100.100.100.200/32"),  # Alibaba Cloud metadata
    IPv4Network("168.63.129.16/32"),  # Azure platform channel
    IPv4Network("192.0.0.0/24"),  # RFC 6890: protocol assignments; Oracle Cloud metadata
    IPv4Network("192.88.99.0/24"),  # RFC 7526: 6to4 relays, deprecated
    IPv6Network("fd00:ec2::/32"),  # AWS metadata, time and pod identity
    IPv6Network("fd20:ce::/32"),  # Google Cloud metadata
    IPv6Network("64:ff9b:1::/48"),  # RFC 8215: NAT64 with a local prefix, embedding unknown
    IPv6Network("2001::/23"),  # RFC 2928: protocol assignments; Teredo (RFC 4380) among them
    IPv6Network("2002::/16"),  # RFC 3056: 6to4
    IPv6Network("::/96"),  # RFC 4291: IPv4-compatible, deprecated (::1 is looked at before)
    IPv6Network("fec0::/10"),  # RFC 3879: site-local, deprecated
)
_GLOBAL_UNICAST: Final = IPv6Network("2000::/3")  # RFC 4291 section 2.4: all that was ever given out
_NAT64: Final = IPv6Network("64:ff9b::/96")  # RFC 6052
_ISATAP: Final = (0x00005EFE, 0x02005EFE)  # RFC 5214 section 6.1: interface identifiers before the IPv4 address


class Egress:
    """The rule. ``allow_private`` permits private addresses for the whole process, whatever a call says."""

    def __init__(self, *, allow_private: bool = False, lookup: Lookup | None = None) -> None:
        """Take the process-wide permission and what resolves names (the event loop's resolver by default)."""
        self._allow_private = allow_private
        self._lookup = lookup or _system_lookup

    def check_url(self, url: str, *, allow_private: bool) -> None:
        """Check a URL when it is saved. Names are not resolved: :meth:`resolve` checks them at each dial.

        Raises:
            EgressDenied: not an absolute http(s) URL, or one that could never be dialled.
        """
        origin = parse_origin(url)
        if origin.scheme == "http" and not (allow_private or self._allow_private):
            raise EgressDenied("Plain http is only allowed to private addresses that are permitted; use https.")
        self._check_literal(origin, allow_private=allow_private)

    def check_address(self, address: str, *, allow_private: bool, plain: bool = False) -> None:
        """Check an address that is about to be dialled; ``plain`` says that nothing will encrypt what is sent.

        Raises:
            EgressDenied: it may not be dialled.
        """
        kind = _kind(address)
        permitted = allow_private or self._allow_private
        if kind == "never":
            raise EgressDenied("The address may never be called (link-local, metadata or reserved).", detail=address)
        if kind == "private" and not permitted:
            raise EgressDenied("The address is private and private addresses are not allowed here.", detail=address)
        if kind == "public" and plain:
            raise EgressDenied("Plain http is not spoken to public addresses; use https.", detail=address)

    async def resolve(self, host: str, port: int, *, allow_private: bool, plain: bool = False) -> list[str]:
        """Return the addresses of ``host``, every one checked; one forbidden candidate refuses them all.

        Raises:
            EgressDenied: a candidate may not be dialled.
            UpstreamUnreachable: the name does not resolve.
        """
        if literal_address(host) is not None:
            candidates = [host]
        else:
            try:
                candidates = await self._lookup(host, port)
            except (OSError, UnicodeError) as error:
                raise UpstreamUnreachable("The host name does not resolve.", detail=f"{host}: {error}") from error
        for candidate in candidates:
            self.check_address(candidate, allow_private=allow_private, plain=plain)
        if not candidates:
            raise UpstreamUnreachable("The host name does not resolve.", detail=host)
        return candidates[:MAX_CANDIDATES]

    def _check_literal(self, origin: Origin, *, allow_private: bool) -> None:
        if origin.address is not None:
            self.check_address(str(origin.address), allow_private=allow_private, plain=origin.scheme == "http")


def _kind(address: str) -> _Kind:
    try:
        parsed = ip_address(address)
    except ValueError:
        return "never"
    if isinstance(parsed, IPv6Address):
        return _kind_of_ipv6(parsed)
    return _kind_of(parsed)


def _kind_of_ipv6(address: IPv6Address) -> _Kind:
    """Judge an IPv6 address, looking through the forms that carry an IPv4 one."""
    if address.scope_id is not None:
        return "never"
    if address.ipv4_mapped is not None:
        return _kind_of(address.ipv4_mapped)
    if address in _NAT64:
        return _kind_of(IPv4Address(int(address) & 0xFFFFFFFF))
    if (int(address) >> 32) & 0xFFFFFFFF in _ISATAP:
        return "never"
    return _kind_of(address)


def _kind_of(address: Address) -> _Kind:
    if address.is_link_local or address.is_multicast:
        return "never"
    permissible = any(address in network for network in _PRIVATE)
    if any(address in network for network in _NEVER):
        return "private" if address == IPv6Address(1) else "never"
    if permissible:
        return "private"
    assigned = isinstance(address, IPv4Address) or address in _GLOBAL_UNICAST
    return "public" if assigned and address.is_global else "never"


async def _system_lookup(host: str, port: int) -> list[str]:
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))
