"""Where the database is: the one setting that says it, parsed, and every fault of it.

No message quotes the URL: it may hold a password.
"""

import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import Final, Literal, get_args

from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

from portico.model.errors import ConfigError, Fault
from portico.model.secret import Secret

TlsMode = Literal["disable", "require", "verify-ca", "verify-full"]

DEFAULT_PORT: Final = 5432
MAX_PORT: Final = 65_535
FORMS: Final = "sqlite:///path/to/portico.db or postgresql://user:password@host/database"

#: What may stand in the query of a PostgreSQL URL, by the names of libpq. ``host`` is the directory of a Unix socket.
_OPTIONS: Final = frozenset({"host", "sslmode", "sslrootcert", "sslcert", "sslkey"})
_POSTGRESQL: Final = frozenset({"postgresql", "postgres"})


@dataclass(frozen=True, slots=True, kw_only=True)
class SqliteFile:
    """A database in a file."""

    path: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Tls:
    """How a connection to a server is protected, in the words of libpq's ``sslmode``."""

    mode: TlsMode
    root: str = ""  #: file of CA certificates; empty for the system's
    certificate: str = ""  #: file of our own certificate; empty for none
    key: str = ""

    def context(self) -> ssl.SSLContext | None:
        """Read the files and return what the driver needs, None for a connection in the clear.

        Raises:
            OSError: a file cannot be read, or is no certificate or key.
        """
        if self.mode == "disable":
            return None
        context = ssl.create_default_context(cafile=self.root or None)
        context.check_hostname = self.mode == "verify-full"
        if self.mode == "require":  # against listeners, not against whoever stands in between
            context.verify_mode = ssl.CERT_NONE
        if self.certificate:
            context.load_cert_chain(self.certificate, self.key or None)
        return context


@dataclass(frozen=True, slots=True, kw_only=True)
class PostgresServer:
    """A database of a PostgreSQL server. Without a password the driver looks into ``PGPASSWORD`` and ``~/.pgpass``."""

    host: str  #: name or address; the directory of a Unix socket begins with a slash
    port: int
    user: str
    password: Secret | None
    database: str
    tls: Tls


Address = SqliteFile | PostgresServer


def parse_address(url: str) -> Address:
    """Read a database URL.

    Raises:
        ConfigError: every fault of it.
    """
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):  # a port that is no number
        raise _refused(f"is not a URL; write {FORMS}") from None  # the cause quotes it
    if parsed.drivername == "sqlite":
        return _sqlite(parsed)
    if parsed.drivername in _POSTGRESQL:
        return _postgresql(parsed)
    raise _refused(f"must be {FORMS}")


def address_faults(url: str) -> list[Fault]:
    """Return what is wrong with a database URL; whether a server answers there is not tried."""
    try:
        parse_address(url)
    except ConfigError as error:
        return list(error.faults)
    return []


def _sqlite(parsed: URL) -> SqliteFile:
    if parsed.host or parsed.query or not parsed.database or parsed.database == ":memory:":
        raise _refused("must be sqlite:///path/to/portico.db, without anything after the path")
    return SqliteFile(path=Path(parsed.database))


def _postgresql(parsed: URL) -> PostgresServer:
    options, faults = _options(parsed)
    host = parsed.host or options.get("host", "")
    if not host or (parsed.host and "host" in options):
        faults.append("needs one host, as in postgresql://user:password@host/database")
    elif not parsed.host and not host.startswith("/"):
        faults.append("has a host in its query that is no directory of a Unix socket; put a name before the slash")
    if not parsed.username or not parsed.database:
        faults.append("needs a user and a database, as in postgresql://user:password@host/database")
    if parsed.port is not None and not 0 < parsed.port <= MAX_PORT:
        faults.append(f"needs a port from 1 to {MAX_PORT}")
    tls = _tls(host, options, faults)
    if faults:
        raise _refused(*faults)
    password = None if parsed.password is None else Secret(str(parsed.password))
    return PostgresServer(
        host=host,
        port=parsed.port or DEFAULT_PORT,
        user=parsed.username or "",
        password=password,
        database=parsed.database or "",
        tls=tls,
    )


def _options(parsed: URL) -> tuple[dict[str, str], list[str]]:
    options: dict[str, str] = {}
    faults: list[str] = []
    for name, value in parsed.query.items():
        if name not in _OPTIONS:
            faults.append(f"has an option that is not known here; known are: {', '.join(sorted(_OPTIONS))}")
        elif isinstance(value, str):
            options[name] = value
        else:
            faults.append(f"has the option {name} more than once")
    return options, faults


def _tls(host: str, options: Mapping[str, str], faults: list[str]) -> Tls:
    """Judge how the connection is protected. Off this machine that must be said: no default would be safe and work."""
    known = get_args(TlsMode)
    asked = options.get("sslmode", "" if host and not _is_here(host) else "disable")
    mode: TlsMode = next((mode for mode in known if mode == asked), "verify-full")
    if not asked:
        faults.append(
            "needs ?sslmode=verify-full for a server on another machine: passwords and all data travel there. Or "
            "sslmode=verify-ca, require (does not check who answers), disable (a network that nobody else is on)"
        )
    elif mode != asked:
        faults.append(f"has an unknown sslmode; known are: {', '.join(known)}")
    tls = Tls(
        mode=mode,
        root=options.get("sslrootcert", ""),
        certificate=options.get("sslcert", ""),
        key=options.get("sslkey", ""),
    )
    try:
        tls.context()
    except OSError as error:
        faults.append(f"names a certificate or key that cannot be used ({error.strerror or type(error).__name__})")
    return tls


def _is_here(host: str) -> bool:
    if host.startswith("/") or host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def _refused(*messages: str) -> ConfigError:
    return ConfigError([Fault(path="database", message=message) for message in messages])
