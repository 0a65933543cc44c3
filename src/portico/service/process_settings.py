"""The process-level keys of ``portico.yaml``, each also an environment variable ``PORTICO_...`` that wins over it."""

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from pathlib import Path
from typing import Any, Final, Literal, TypeVar, cast
from urllib.parse import urlsplit

from portico.control.quotas import DEFAULT_QUOTAS, MAX_QUOTA, Quotas
from portico.control.relaxations import LOOPBACK_HOSTS
from portico.model.errors import Fault

Network = IPv4Network | IPv6Network
LogFormat = Literal["json", "text"]
LogLevel = Literal["debug", "info", "warning", "error"]
ApiPlace = Literal["public", "admin", "off"]  #: the address where the AgentCore API is served

API_PLACES: Final[tuple[ApiPlace, ...]] = ("public", "admin", "off")
DEFAULT_LISTEN: Final = "127.0.0.1:8080"
DEFAULT_JOURNAL_MAX: Final = 1024**3  #: bytes
MIN_JOURNAL_MAX: Final = 1024**2  #: bytes
DEFAULT_REGION: Final = "us-east-1"
DEFAULT_DRAIN_SECONDS: Final = 30.0
MAX_DRAIN_SECONDS: Final = 900.0
MAX_PORT: Final = 65_535
MAX_WORKERS: Final = 64

QUOTA_NAMES: Final = tuple(entry.name for entry in fields(Quotas))

#: Every key, dotted as it nests in the file, and its environment variable.
KEYS: Final[Mapping[str, str]] = {
    "listen": "PORTICO_LISTEN",
    "admin_listen": "PORTICO_ADMIN_LISTEN",
    "advertise_url": "PORTICO_ADVERTISE_URL",
    "workers": "PORTICO_WORKERS",
    "public_url": "PORTICO_PUBLIC_URL",
    "data_dir": "PORTICO_DATA_DIR",
    "database": "PORTICO_DATABASE",
    "keyring": "PORTICO_KEYRING",
    "trusted_proxies": "PORTICO_TRUSTED_PROXIES",
    "allowed_hosts": "PORTICO_ALLOWED_HOSTS",
    "log.format": "PORTICO_LOG_FORMAT",
    "log.level": "PORTICO_LOG_LEVEL",
    "audit.journal_max": "PORTICO_AUDIT_JOURNAL_MAX",
    "default_gateway": "PORTICO_DEFAULT_GATEWAY",
    "drain_seconds": "PORTICO_DRAIN_SECONDS",
    "api": "PORTICO_API",
    "api_private_addresses": "PORTICO_API_PRIVATE_ADDRESSES",
    "region": "PORTICO_REGION",
    **{f"quotas.{name}": f"PORTICO_QUOTAS_{name.upper()}" for name in QUOTA_NAMES},
}

_GROUPS: Final = frozenset(key.partition(".")[0] for key in KEYS if "." in key)
_UNITS: Final = {"": 1, "KiB": 1024, "MiB": 1024**2, "GiB": 1024**3}
_SIZE = re.compile(r"([0-9]{1,15}) ?(|KiB|MiB|GiB)\Z")
_REGION = re.compile(r"[a-z]{2,}(-[a-z]+)*-[0-9]{1,2}\Z")
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


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessSettings:
    """What is configured about the process. A change takes effect at the next start."""

    listen: Listen
    admin_listen: Listen | None
    advertise_url: str  #: origin where other replicas reach ``admin_listen``; empty: they do not, or by its address
    workers: int  #: processes that serve; with more than one another supervises them
    public_url: str  #: origin, without a slash at its end
    data_dir: Path
    database: str = field(repr=False)  #: URL; may hold a password
    keyring_file: Path
    trusted_proxies: tuple[Network, ...]
    allowed_hosts: frozenset[str]  #: complete: what ``Host`` may say, lower case, without port
    log_format: LogFormat
    log_level: LogLevel
    journal_max: int  #: bytes of audit records that may wait for the database before calls are refused
    default_gateway: str  #: name; empty for none
    drain_seconds: float
    api: ApiPlace
    api_private_addresses: bool  #: may be called by what is made through the API, which has no x-portico
    region: str  #: as it stands in ARNs and in signatures
    quotas: Quotas


def read_process_settings(
    document: Mapping[str, Any], *, environ: Mapping[str, str], base: Path, faults: list[Fault]
) -> ProcessSettings:
    """Read the keys; what is wrong is appended to ``faults`` and read as its default, so that everything is judged.

    ``base`` is what relative paths of the file are relative to; those of the environment are to the working directory.
    """
    keys = _Keys(document, environ, base, faults)
    listen = keys.listen("listen", DEFAULT_LISTEN)
    public_url = keys.public_url(listen)
    data_dir = keys.path("data_dir", "data")
    return ProcessSettings(
        listen=listen,
        admin_listen=keys.listen("admin_listen", "") if keys.text("admin_listen", "") else None,
        advertise_url=keys.advertise_url(),
        workers=keys.whole("workers", 1, MAX_WORKERS),
        public_url=public_url,
        data_dir=data_dir,
        database=keys.text("database", f"sqlite:///{data_dir / 'portico.db'}"),
        keyring_file=keys.path("keyring", str(data_dir / "keyring")),
        trusted_proxies=keys.networks("trusted_proxies"),
        allowed_hosts=keys.hosts(public_url, listen),
        log_format=keys.choice("log.format", ("text", "json")),
        log_level=keys.choice("log.level", ("info", "debug", "warning", "error")),
        journal_max=keys.size("audit.journal_max", DEFAULT_JOURNAL_MAX, MIN_JOURNAL_MAX),
        default_gateway=keys.text("default_gateway", ""),
        drain_seconds=keys.seconds("drain_seconds", DEFAULT_DRAIN_SECONDS, MAX_DRAIN_SECONDS),
        api=keys.api(),
        api_private_addresses=keys.flag("api_private_addresses"),
        region=keys.region(),
        quotas=Quotas(**{name: keys.whole(f"quotas.{name}", 1, MAX_QUOTA, default) for name, default in _quotas()}),
    )


def environment_of(process: ProcessSettings) -> dict[str, str]:
    """Return variables that read as exactly these settings, whatever the file says by then."""
    values = {
        "listen": str(process.listen),
        "admin_listen": str(process.admin_listen or ""),
        "advertise_url": process.advertise_url,
        "workers": str(process.workers),
        "public_url": process.public_url,
        "data_dir": str(process.data_dir),
        "database": process.database,
        "keyring": str(process.keyring_file),
        "trusted_proxies": ",".join(map(str, process.trusted_proxies)),
        "allowed_hosts": ",".join(sorted(process.allowed_hosts)),
        "log.format": process.log_format,
        "log.level": process.log_level,
        "audit.journal_max": str(process.journal_max),
        "default_gateway": process.default_gateway,
        "drain_seconds": str(process.drain_seconds),
        "api": process.api,
        "api_private_addresses": str(process.api_private_addresses).lower(),
        "region": process.region,
        **{f"quotas.{name}": str(quota) for name, quota in asdict(process.quotas).items()},
    }
    return {KEYS[key]: value for key, value in values.items()}


def _quotas() -> list[tuple[str, int]]:
    return list(asdict(DEFAULT_QUOTAS).items())


def unknown_key_faults(
    document: Mapping[str, Any], *, also: frozenset[str], not_built: Mapping[str, str]
) -> list[Fault]:
    """Return a fault for every top-level or nested key that nobody reads."""
    faults: list[Fault] = []
    top = {key.partition(".")[0] for key in KEYS} | also
    for name, value in document.items():
        if name in not_built:
            faults.append(Fault(path=name, message=not_built[name]))
        elif name not in top:
            faults.append(Fault(path=name, message=f"is not known here; known are: {', '.join(sorted(top))}"))
        elif name in _GROUPS and not isinstance(value, dict):
            faults.append(Fault(path=name, message="must be an object"))
        elif name in _GROUPS:
            known = sorted(key.partition(".")[2] for key in KEYS if key.startswith(f"{name}."))
            faults += [
                Fault(path=f"{name}.{inner}", message=f"is not known here; known are: {', '.join(known)}")
                for inner in cast("dict[str, object]", value)
                if inner not in known
            ]
    return faults


class _Keys:
    """Looks keys up in the environment and the file, and judges them one by one."""

    def __init__(
        self, document: Mapping[str, Any], environ: Mapping[str, str], base: Path, faults: list[Fault]
    ) -> None:
        self._document = document
        self._environ = environ
        self._base = base
        self._faults = faults

    def listen(self, key: str, default: str) -> Listen:
        text = self.text(key, default)
        host, _, port = text.rpartition(":")
        host = "127.0.0.1" if host == "localhost" else host.removeprefix("[").removesuffix("]")
        try:
            ip_address(host)
        except ValueError:
            self._fault(key, "must be address:port with an IP address, for example 127.0.0.1:8080 or [::1]:8080")
            return Listen(host="127.0.0.1", port=0)
        if not port.isascii() or not port.isdigit() or int(port) > MAX_PORT:
            self._fault(key, f"must end in a port from 0 to {MAX_PORT}")
            return Listen(host=host, port=0)
        return Listen(host=host, port=int(port))

    def public_url(self, listen: Listen) -> str:
        """Judge the URL by which clients know us. It is never derived from a request, and http stays on loopback."""
        text = self.text("public_url", f"http://{listen}" if listen.loopback and listen.port else "")
        if not text:
            self._fault("public_url", "is required, for example https://mcp.example.com")
            return "https://portico.invalid"
        parts = urlsplit(text.rstrip("/"))
        try:
            port = parts.port
        except ValueError:
            port = -1
        if parts.scheme not in {"http", "https"} or not parts.hostname or port == -1:
            self._fault("public_url", "must be an http or https URL, for example https://mcp.example.com")
        elif parts.path or parts.query or parts.fragment or "@" in parts.netloc:
            self._fault("public_url", "must be an origin: no path, query, fragment or user information")
        elif parts.scheme == "http" and parts.hostname not in LOOPBACK_HOSTS:
            self._fault("public_url", "must be https off loopback: tokens and passwords would travel in the clear")
        elif parts.scheme == "http" and not listen.loopback:
            self._fault(
                "listen",
                "must be a loopback address while public_url is http; let a reverse proxy speak https and set "
                "public_url to its URL",
            )
        return f"{parts.scheme}://{parts.netloc.lower()}"

    def advertise_url(self) -> str:
        """Judge the URL by which other replicas know us."""
        text = self.text("advertise_url", "").rstrip("/")
        if not text:
            return ""
        try:
            parts = urlsplit(text)
            good = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
        except ValueError:
            parts, good = urlsplit(""), False
        if not good or parts.path or parts.query or parts.fragment or "@" in parts.netloc:
            self._fault("advertise_url", "must be an origin, for example http://10.0.0.5:8081")
        elif not self.text("admin_listen", ""):
            self._fault("advertise_url", "says where admin_listen is reached; set admin_listen too")
        return text

    def hosts(self, public_url: str, listen: Listen) -> frozenset[str]:
        """Return the host names that requests may name (T15: a rebound name is not among them)."""
        hosts = {_bracketed(urlsplit(public_url).hostname or "")}
        if listen.loopback:
            hosts |= {_bracketed(host) for host in LOOPBACK_HOSTS}
        for index, host in enumerate(self._texts("allowed_hosts")):
            if _HOST.match(host.lower()):
                hosts.add(host.lower())
            else:
                where = f"allowed_hosts[{index}]"
                self._fault(where, "must be a host name or [IPv6 address], without port and wildcards")
        return frozenset(hosts)

    def networks(self, key: str) -> tuple[Network, ...]:
        found: list[Network] = []
        for index, text in enumerate(self._texts(key)):
            try:
                network = ip_network(text)
            except ValueError:
                self._fault(f"{key}[{index}]", "must be an IP address or a network like 10.0.0.0/8")
                continue
            if network.prefixlen == 0:
                self._fault(f"{key}[{index}]", "trusts everybody, so anyone could forge addresses; name the proxies")
            else:
                found.append(network)
        return tuple(found)

    def choice(self, key: str, choices: tuple[_C, ...]) -> _C:
        text = self.text(key, choices[0])
        found = next((choice for choice in choices if choice == text), None)
        if found is None:
            self._fault(key, f"must be one of: {', '.join(choices)}")
        return found or choices[0]

    def flag(self, key: str) -> bool:
        """Judge a switch, which is off by default; the environment has texts only."""
        value = self._value(key)
        if not (value is None or isinstance(value, bool) or value in ("true", "false")):
            self._fault(key, "must be true or false")
        return value is True or value == "true"

    def size(self, key: str, default: int, least: int) -> int:
        value = self._value(key)
        found = _SIZE.match(str(value)) if isinstance(value, int | str) and not isinstance(value, bool) else None
        if value is None:
            return default
        size = int(found[1]) * _UNITS[found[2]] if found else 0
        if size < least:
            self._fault(key, f"must be a size of at least {least} bytes, for example 512MiB")
        return size

    def api(self) -> ApiPlace:
        """Judge where the AgentCore API is served."""
        place: ApiPlace = self.choice("api", API_PLACES)
        if place == "admin" and not self.text("admin_listen", ""):
            self._fault("api", "needs an address to be served at; set admin_listen too")
        return place

    def region(self) -> str:
        region = self.text("region", DEFAULT_REGION)
        if not _REGION.match(region):
            self._fault("region", "must have the form of a region, for example eu-central-1")
        return region

    def whole(self, key: str, least: int, most: int, default: int | None = None) -> int:
        """Judge a whole number; the least is its default unless another is given."""
        value = self._value(key)
        if value is None:
            return least if default is None else default
        text = str(value)
        number = int(text) if text.isascii() and text.isdigit() and len(text) < len(str(most)) + 1 else -1
        if isinstance(value, bool) or not least <= number <= most:
            self._fault(key, f"must be a whole number from {least} to {most}")
            return least
        return number

    def seconds(self, key: str, default: float, most: float) -> float:
        value = self._value(key)
        if value is None:
            return default
        try:
            seconds = -1.0 if isinstance(value, bool) else float(cast("str | float", value))
        except (TypeError, ValueError):
            seconds = -1.0
        if not 0 <= seconds <= most:
            self._fault(key, f"must be seconds from 0 to {most:g}")
            return default
        return seconds

    def path(self, key: str, default: str) -> Path:
        from_environment = KEYS[key] in self._environ
        return (Path.cwd() if from_environment else self._base) / Path(self.text(key, default)).expanduser()

    def text(self, key: str, default: str) -> str:
        value = self._value(key)
        if value is None:
            return default
        if not isinstance(value, str):
            self._fault(key, "must be text (quote it if YAML reads it as something else)")
            return default
        return value

    def _texts(self, key: str) -> list[str]:
        value = self._value(key)
        if value is None:
            return []
        if isinstance(value, str):  # the environment has no lists
            return [text for text in re.split(r"[\s,]+", value) if text]
        if isinstance(value, list) and all(isinstance(text, str) for text in cast("list[object]", value)):
            return cast("list[str]", value)
        self._fault(key, "must be a list of texts")
        return []

    def _value(self, key: str) -> object:
        """Return the value of a key; an empty environment variable counts as not set."""
        from_environment = self._environ.get(KEYS[key])
        if from_environment:
            return from_environment
        value: object = self._document
        for name in key.split("."):
            value = cast("dict[str, object]", value).get(name) if isinstance(value, Mapping) else None
        return value

    def _fault(self, key: str, message: str) -> None:
        variable = KEYS.get(key, "")
        origin = f"{variable} " if self._environ.get(variable) else ""
        fault = Fault(path=key, message=f"{origin}{message}")
        if fault not in self._faults:
            self._faults.append(fault)


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host
