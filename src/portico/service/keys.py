"""Keys of a configuration file that are environment variables too: looked up, and judged one by one."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, TypeVar, cast
from urllib.parse import urlsplit

from portico.control.relaxations import LOOPBACK_HOSTS
from portico.model.errors import Fault

Network = IPv4Network | IPv6Network

MAX_PORT: Final = 65_535

_UNITS: Final = {"": 1, "KiB": 1024, "MiB": 1024**2, "GiB": 1024**3}
_SIZE = re.compile(r"([0-9]{1,15}) ?(|KiB|MiB|GiB)\Z")
_HOST = re.compile(r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?\Z|\[[0-9a-f:.]+\]\Z")

_C = TypeVar("_C", bound=str)


@dataclass(frozen=True, slots=True, kw_only=True)
class Listen:
    """An address to listen on; ``host`` is an IP address."""

    host: str
    port: int  #: 0 for any free one

    @property
    def loopback(self) -> bool:
        """Whether only this machine can connect."""
        return ip_address(self.host).is_loopback

    @property
    def bracketed_host(self) -> str:
        """The address as it stands in a URL and in ``Host``."""
        return _bracketed(self.host)

    def __str__(self) -> str:
        return f"{self.bracketed_host}:{self.port}"


def unknown_key_faults(
    document: Mapping[str, Any],
    *,
    variables: Mapping[str, str],
    also: frozenset[str] = frozenset(),
    not_built: Mapping[str, str] = MappingProxyType({}),
) -> list[Fault]:
    """Return a fault for every top-level or nested key that nobody reads: neither ``variables`` has it nor ``also``."""
    faults: list[Fault] = []
    top = {key.partition(".")[0] for key in variables} | also
    groups = {key.partition(".")[0] for key in variables if "." in key}
    for name, value in document.items():
        if name in not_built:
            faults.append(Fault(path=name, message=not_built[name]))
        elif name not in top:
            faults.append(Fault(path=name, message=f"is not known here; known are: {', '.join(sorted(top))}"))
        elif name in groups and not isinstance(value, dict):
            faults.append(Fault(path=name, message="must be an object"))
        elif name in groups:
            known = sorted(key.partition(".")[2] for key in variables if key.startswith(f"{name}."))
            faults += [
                Fault(path=f"{name}.{inner}", message=f"is not known here; known are: {', '.join(known)}")
                for inner in cast("dict[str, object]", value)
                if inner not in known
            ]
    return faults


class Keys:
    """Looks keys up in the environment and the file, and judges them one by one."""

    def __init__(
        self,
        document: Mapping[str, Any],
        environ: Mapping[str, str],
        base: Path,
        faults: list[Fault],
        *,
        variables: Mapping[str, str],
    ) -> None:
        """Take a file's document, and ``variables``: every key, dotted as it nests, and its environment variable.

        What is wrong is appended to ``faults`` and read as its default, so that everything is judged. ``base`` is what
        relative paths of the file are relative to; those of the environment are to the working directory.
        """
        self._variables = variables
        self._document = document
        self._environ = environ
        self._base = base
        self._faults = faults

    def listen(self, key: str, default: str) -> Listen:
        """Judge an address to listen on."""
        text = self.text(key, default)
        host, _, port = text.rpartition(":")
        host = "127.0.0.1" if host == "localhost" else host.removeprefix("[").removesuffix("]")
        try:
            ip_address(host)
        except ValueError:
            self.fault(key, "must be address:port with an IP address, for example 127.0.0.1:8080 or [::1]:8080")
            return Listen(host="127.0.0.1", port=0)
        if not port.isascii() or not port.isdigit() or int(port) > MAX_PORT:
            self.fault(key, f"must end in a port from 0 to {MAX_PORT}")
            return Listen(host=host, port=0)
        return Listen(host=host, port=int(port))

    def public_url(self, listen: Listen) -> str:
        """Judge the URL by which clients know us. It is never derived from a request, and http stays on loopback."""
        text = self.text("public_url", f"http://{listen}" if listen.loopback and listen.port else "")
        if not text:
            self.fault("public_url", "is required, for example https://mcp.example.com")
            return "https://portico.invalid"
        parts = urlsplit(text.rstrip("/"))
        try:
            port = parts.port
        except ValueError:
            port = -1
        if parts.scheme not in {"http", "https"} or not parts.hostname or port == -1:
            self.fault("public_url", "must be an http or https URL, for example https://mcp.example.com")
        elif parts.path or parts.query or parts.fragment or "@" in parts.netloc:
            self.fault("public_url", "must be an origin: no path, query, fragment or user information")
        elif parts.scheme == "http" and parts.hostname not in LOOPBACK_HOSTS:
            self.fault("public_url", "must be https off loopback: tokens and passwords would travel in the clear")
        elif parts.scheme == "http" and not listen.loopback:
            self.fault(
                "listen",
                "must be a loopback address while public_url is http; let a reverse proxy speak https and set "
                "public_url to its URL",
            )
        return f"{parts.scheme}://{parts.netloc.lower()}"

    def hosts(self, public_url: str, listen: Listen) -> frozenset[str]:
        """Return the host names that requests may name (T15: a rebound name is not among them)."""
        hosts = {_bracketed(urlsplit(public_url).hostname or "")}
        if listen.loopback:
            hosts |= {_bracketed(host) for host in LOOPBACK_HOSTS}
        for index, host in enumerate(self.texts("allowed_hosts")):
            if _HOST.match(host.lower()):
                hosts.add(host.lower())
            else:
                where = f"allowed_hosts[{index}]"
                self.fault(where, "must be a host name or [IPv6 address], without port and wildcards")
        return frozenset(hosts)

    def networks(self, key: str) -> tuple[Network, ...]:
        """Judge a list of addresses and networks, none of which may be everybody."""
        found: list[Network] = []
        for index, text in enumerate(self.texts(key)):
            try:
                network = ip_network(text)
            except ValueError:
                self.fault(f"{key}[{index}]", "must be an IP address or a network like 10.0.0.0/8")
                continue
            if network.prefixlen == 0:
                self.fault(f"{key}[{index}]", "trusts everybody, so anyone could forge addresses; name the proxies")
            else:
                found.append(network)
        return tuple(found)

    def choice(self, key: str, choices: tuple[_C, ...]) -> _C:
        """Judge one of several words, the first of which is the default."""
        text = self.text(key, choices[0])
        found = next((choice for choice in choices if choice == text), None)
        if found is None:
            self.fault(key, f"must be one of: {', '.join(choices)}")
        return found or choices[0]

    def flag(self, key: str) -> bool:
        """Judge a switch, which is off by default; the environment has texts only."""
        value = self.value(key)
        if not (value is None or isinstance(value, bool) or value in ("true", "false")):
            self.fault(key, "must be true or false")
        return value is True or value == "true"

    def size(self, key: str, default: int, least: int) -> int:
        """Judge a size in bytes, with or without KiB, MiB or GiB."""
        value = self.value(key)
        found = _SIZE.match(str(value)) if isinstance(value, int | str) and not isinstance(value, bool) else None
        if value is None:
            return default
        size = int(found[1]) * _UNITS[found[2]] if found else 0
        if size < least:
            self.fault(key, f"must be a size of at least {least} bytes, for example 512MiB")
        return size

    def whole(self, key: str, least: int, most: int, default: int | None = None) -> int:
        """Judge a whole number; the least is its default unless another is given."""
        value = self.value(key)
        if value is None:
            return least if default is None else default
        text = str(value)
        number = int(text) if text.isascii() and text.isdigit() and len(text) < len(str(most)) + 1 else -1
        if isinstance(value, bool) or not least <= number <= most:
            self.fault(key, f"must be a whole number from {least} to {most}")
            return least
        return number

    def seconds(self, key: str, default: float, most: float) -> float:
        """Judge a time in seconds."""
        value = self.value(key)
        if value is None:
            return default
        try:
            seconds = -1.0 if isinstance(value, bool) else float(cast("str | float", value))
        except (TypeError, ValueError):
            seconds = -1.0
        if not 0 <= seconds <= most:
            self.fault(key, f"must be seconds from 0 to {most:g}")
            return default
        return seconds

    def path(self, key: str, default: str) -> Path:
        """Return the path of a file or directory."""
        from_environment = self._variables[key] in self._environ
        return (Path.cwd() if from_environment else self._base) / Path(self.text(key, default)).expanduser()

    def text(self, key: str, default: str) -> str:
        """Return a text."""
        value = self.value(key)
        if value is None:
            return default
        if not isinstance(value, str):
            self.fault(key, "must be text (quote it if YAML reads it as something else)")
            return default
        return value

    def texts(self, key: str) -> list[str]:
        """Return a list of texts."""
        value = self.value(key)
        if value is None:
            return []
        if isinstance(value, str):  # the environment has no lists
            return [text for text in re.split(r"[\s,]+", value) if text]
        if isinstance(value, list) and all(isinstance(text, str) for text in cast("list[object]", value)):
            return cast("list[str]", value)
        self.fault(key, "must be a list of texts")
        return []

    def value(self, key: str) -> object:
        """Return the value of a key; an empty environment variable counts as not set."""
        from_environment = self._environ.get(self._variables[key])
        if from_environment:
            return from_environment
        value: object = self._document
        for name in key.split("."):
            value = cast("dict[str, object]", value).get(name) if isinstance(value, Mapping) else None
        return value

    def fault(self, key: str, message: str) -> None:
        """Note what is wrong with a key, once, and whether the environment said it."""
        variable = self._variables.get(key, "")
        origin = f"{variable} " if self._environ.get(variable) else ""
        fault = Fault(path=key, message=f"{origin}{message}")
        if fault not in self._faults:
            self._faults.append(fault)


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host
