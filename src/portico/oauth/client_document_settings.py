"""Which hosts may describe clients by documents (client id metadata documents), and how far each is trusted."""

import re
from typing import Final, Literal

import msgspec

ANY: Final = "*"
MAX_HOSTS: Final = 200  #: entries of each list
MAX_HOST_CHARS: Final = 260

_LABEL = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
_ENTRY = re.compile(rf"(?:\*\.)?(?:{_LABEL}\.){{0,20}}{_LABEL}(?::[1-9][0-9]{{0,4}})?\Z", re.ASCII)

#: ``named``: the administrator wrote the host down; ``anyone``: only ``*`` lets it in; ``refused``: nothing does.
Standing = Literal["named", "anyone", "refused"]


class ClientDocumentSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="camel"):
    """The member ``clientDocuments`` of an issuer.

    ``*`` lets every host describe clients that run on the person's own computer, which is what anonymous registration
    lets everybody do anyway. A code leaves for a website only when the administrator named its host: else anybody
    with a domain could put a consent page of this issuer before people and be sent the code (draft section 8.5).
    """

    enabled: bool = True
    allowed_hosts: tuple[str, ...] = (ANY,)  #: ``host``, ``host:port``, ``*.host`` (below it) or ``*``
    denied_hosts: tuple[str, ...] = ()  #: the same forms without a port; they win, on every port
    allow_private: bool = False  #: for tests and development: private addresses, plain http, any port

    def standing_of(self, host: str, port: int | None) -> Standing:
        """Judge a document's host; ``port`` is None for the one of https."""
        if any(_covers(entry, host) for entry in self.denied_hosts):
            return "refused"
        authority = host if port is None else f"{host}:{port}"
        if any(_covers(entry, authority) for entry in self.allowed_hosts if entry != ANY):
            return "named"
        return "anyone" if ANY in self.allowed_hosts and (port is None or self.allow_private) else "refused"


def client_document_faults(settings: ClientDocumentSettings) -> list[tuple[str, str]]:
    """Return what is wrong with the settings: path below ``clientDocuments`` and the fix."""
    faults = [
        (member, f"{entry!r} must be a host in lower case (international ones in punycode), `*.host` or `*`")
        for member, entries in (("allowedHosts", settings.allowed_hosts), ("deniedHosts", settings.denied_hosts))
        for entry in entries
        if entry != ANY and (len(entry) > MAX_HOST_CHARS or not _ENTRY.match(entry))
    ]
    faults += [
        (member, f"holds more than {MAX_HOSTS} entries")
        for member, entries in (("allowedHosts", settings.allowed_hosts), ("deniedHosts", settings.denied_hosts))
        if len(entries) > MAX_HOSTS
    ]
    faults += [
        ("deniedHosts", f"{entry!r} must have no port; the host is refused on every one")
        for entry in settings.denied_hosts
        if ":" in entry
    ]
    if ANY in settings.denied_hosts:
        faults.append(("deniedHosts", "`*` refuses everybody; set enabled to false"))
    if settings.enabled and not settings.allowed_hosts:
        faults.append(("allowedHosts", "names no host; set enabled to false"))
    return faults


def _covers(entry: str, host: str) -> bool:
    return host.endswith(entry[1:]) if entry.startswith("*.") else host == entry
