"""The process-level keys of ``portico.yaml``, each also an environment variable ``PORTICO_...`` that wins over it."""

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Final, Literal
from urllib.parse import urlsplit

from portico.control.quotas import DEFAULT_QUOTAS, MAX_QUOTA, Quotas
from portico.model.errors import Fault
from portico.service.keys import Keys, Listen, Network

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

_REGION = re.compile(r"[a-z]{2,}(-[a-z]+)*-[0-9]{1,2}\Z")


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
    keys = _Keys(document, environ, base, faults, variables=KEYS)
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


class _Keys(Keys):
    """The keys of ``portico.yaml``; three of them have a rule of their own."""

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
            self.fault("advertise_url", "must be an origin, for example http://10.0.0.5:8081")
        elif not self.text("admin_listen", ""):
            self.fault("advertise_url", "says where admin_listen is reached; set admin_listen too")
        return text

    def api(self) -> ApiPlace:
        """Judge where the AgentCore API is served."""
        place: ApiPlace = self.choice("api", API_PLACES)
        if place == "admin" and not self.text("admin_listen", ""):
            self.fault("api", "needs an address to be served at; set admin_listen too")
        return place

    def region(self) -> str:
        region = self.text("region", DEFAULT_REGION)
        if not _REGION.match(region):
            self.fault("region", "must have the form of a region, for example eu-central-1")
        return region
