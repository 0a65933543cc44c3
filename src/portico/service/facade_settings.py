"""Everything that is configured about a façade: ``facade.yaml`` with ``PORTICO_FACADE_*`` over it, in one frozen value.

A façade has no database, so the file is all there is: the process, the MCP server behind it, one issuer with its
providers and clients. Every simple key is an environment variable too, and the issuer's document may stand in one, so
that a function without files (AWS Lambda) is configured by its environment alone.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, cast

from portico.control.declared_issuers import read_issuer
from portico.control.documents import is_origin_rule
from portico.control.reader import Reader
from portico.facade.headers import header_name_fault
from portico.issuer.store import TokenMode
from portico.model.errors import ConfigError, EgressDenied, Fault
from portico.model.secret import Secret
from portico.net.egress import Egress
from portico.net.origin import parse_origin
from portico.oauth.issuer_settings import IssuerSettings, parse_issuer_settings
from portico.oauth.metadata import ROOT
from portico.service.keyring_file import keyring_faults
from portico.service.keyring_source import keyring_text_faults
from portico.service.keys import Keys, Listen, Network, unknown_key_faults
from portico.service.process_settings import (
    DEFAULT_DRAIN_SECONDS,
    DEFAULT_LISTEN,
    MAX_DRAIN_SECONDS,
    LogFormat,
    LogLevel,
)
from portico.service.settings import file_reader, read_document
from portico.service.yaml_text import parse_yaml
from portico.storage.address import address_faults
from portico.storage.clients import ClientRow

TOKEN_MODES: Final[tuple[TokenMode, ...]] = ("wrap", "own", "passthrough")
CONFIG_VARIABLE: Final = "PORTICO_FACADE_CONFIG"  #: path of the file
KEYRING_KEYS: Final = "PORTICO_KEYRING_KEYS"  #: the keyring itself, in place of a file
ISSUER_VARIABLE: Final = "PORTICO_FACADE_ISSUER"  #: the issuer's document as YAML or JSON, in place of the file's
DEFAULT_CONFIG: Final = "facade.yaml"
DEFAULT_KEYRING: Final = "keyring"
MCP_PATH: Final = "/mcp"  #: of the one resource

#: Every simple key, dotted as it nests in the file, and its environment variable.
FACADE_KEYS: Final[Mapping[str, str]] = {
    "listen": "PORTICO_FACADE_LISTEN",
    "public_url": "PORTICO_FACADE_PUBLIC_URL",
    "keyring": "PORTICO_FACADE_KEYRING",
    "trusted_proxies": "PORTICO_FACADE_TRUSTED_PROXIES",
    "allowed_hosts": "PORTICO_FACADE_ALLOWED_HOSTS",
    "allowed_origins": "PORTICO_FACADE_ALLOWED_ORIGINS",
    "log.format": "PORTICO_FACADE_LOG_FORMAT",
    "log.level": "PORTICO_FACADE_LOG_LEVEL",
    "drain_seconds": "PORTICO_FACADE_DRAIN_SECONDS",
    "upstream.url": "PORTICO_FACADE_UPSTREAM_URL",
    "upstream.allowPrivate": "PORTICO_FACADE_UPSTREAM_ALLOW_PRIVATE",
    "upstream.allowedRequestHeaders": "PORTICO_FACADE_UPSTREAM_ALLOWED_REQUEST_HEADERS",
    "upstream.allowedResponseHeaders": "PORTICO_FACADE_UPSTREAM_ALLOWED_RESPONSE_HEADERS",
    "tokens": "PORTICO_FACADE_TOKENS",
    "store": "PORTICO_FACADE_STORE",
}

#: Members of the issuer's document that have a variable of their own.
ISSUER_KEYS: Final[Mapping[str, str]] = {
    "title": "PORTICO_FACADE_TITLE",
    "scopes": "PORTICO_FACADE_SCOPES",
    "allowedRedirectUris": "PORTICO_FACADE_ALLOWED_REDIRECT_URIS",
}
_ISSUER_LISTS: Final = frozenset({"scopes", "allowedRedirectUris"})

#: Members of the issuer's only connector that have one.
PROVIDER_KEYS: Final[Mapping[str, str]] = {
    "type": "PORTICO_FACADE_PROVIDER_TYPE",
    "discoveryUrl": "PORTICO_FACADE_PROVIDER_DISCOVERY_URL",
    "clientId": "PORTICO_FACADE_PROVIDER_CLIENT_ID",
    "clientSecret": "PORTICO_FACADE_PROVIDER_CLIENT_SECRET",
}
DEFAULT_PROVIDER: Final = {"name": "provider", "type": "oidc"}  #: that the variables describe

_NEEDS_A_PROVIDER: Final = (
    "needs a provider, for example {name: company, type: oidc, discoveryUrl: ..., clientId: ...}; a façade has no "
    "users of its own, `portico serve` does"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class UpstreamSettings:
    """The MCP server behind the façade."""

    url: str  #: of its endpoint, as it is called; a query of its own is kept
    allow_private: bool  #: it may lie on a private address and speak plain http there
    allowed_request_headers: frozenset[str]  #: passed on beside those of MCP, lower case
    allowed_response_headers: frozenset[str]  #: handed back beside those of MCP, lower case


@dataclass(frozen=True, slots=True, kw_only=True)
class FacadeSettings:
    """What is configured about a façade. A change takes effect at the next start, that of the keyring at once."""

    config_file: Path | None
    listen: Listen
    public_url: str  #: origin, without a slash at its end; the issuer's URL too
    keyring_file: Path
    keyring_keys: Secret  #: the keyring's text in place of the file; empty for none
    trusted_proxies: tuple[Network, ...]
    allowed_hosts: frozenset[str]  #: complete: what ``Host`` may say, lower case, without port
    allowed_origins: frozenset[str]  #: of pages that may call, beside our own; ``*`` for all
    log_format: LogFormat
    log_level: LogLevel
    drain_seconds: float
    upstream: UpstreamSettings
    tokens: TokenMode
    store: str = field(repr=False)  #: URL of a database that remembers used refresh tokens; empty for none
    issuer: IssuerSettings = field(repr=False)
    clients: tuple[ClientRow, ...] = field(repr=False)  #: that are held here, beside those that register themselves

    @property
    def resource(self) -> str:
        """The URL of the MCP endpoint: what tokens are for (RFC 8707)."""
        return f"{self.public_url}{MCP_PATH}"


def load_facade_settings(config: Path | None, *, environ: Mapping[str, str] | None = None) -> FacadeSettings:
    """Read the file, and the environment over it.

    The keyring is not looked at: without one a façade still starts, and says on every request what it lacks.

    Raises:
        ConfigError: every fault at once; also when the file cannot be read.
    """
    settings, faults = _read(config, os.environ if environ is None else environ)
    if faults:
        raise ConfigError(faults)
    return settings


def check_facade(config: Path | None, *, environ: Mapping[str, str] | None = None) -> list[Fault]:
    """Return everything that is wrong, with the keyring too."""
    try:
        settings, faults = _read(config, os.environ if environ is None else environ)
    except ConfigError as error:
        return list(error.faults)
    if settings.keyring_keys:
        return faults + keyring_text_faults(settings.keyring_keys)
    return faults + keyring_faults(settings.keyring_file)


def _read(config: Path | None, variables: Mapping[str, str]) -> tuple[FacadeSettings, list[Fault]]:
    base = Path.cwd() if config is None else config.absolute().parent
    document, faults = ({}, []) if config is None else read_document(config, variables, page="docs/facade.md")
    faults += unknown_key_faults(document, variables=FACADE_KEYS, also=frozenset({"issuer"}))
    keys = _FacadeKeys(document, variables, base, faults, variables=FACADE_KEYS)
    listen = keys.listen("listen", DEFAULT_LISTEN)
    public_url = keys.public_url(listen)
    issuer, clients = _issuer(_issuer_document(document, variables, faults), base, faults)
    settings = FacadeSettings(
        config_file=config,
        listen=listen,
        public_url=public_url,
        keyring_file=keys.path("keyring", DEFAULT_KEYRING),
        keyring_keys=Secret(variables.get(KEYRING_KEYS, "")),
        trusted_proxies=keys.networks("trusted_proxies"),
        allowed_hosts=keys.hosts(public_url, listen),
        allowed_origins=keys.origins(),
        log_format=keys.choice("log.format", ("text", "json")),
        log_level=keys.choice("log.level", ("info", "debug", "warning", "error")),
        drain_seconds=keys.seconds("drain_seconds", DEFAULT_DRAIN_SECONDS, MAX_DRAIN_SECONDS),
        upstream=keys.upstream(public_url, listen),
        tokens=keys.choice("tokens", TOKEN_MODES),
        store=keys.store(),
        issuer=issuer,
        clients=clients,
    )
    if settings.keyring_keys and keys.text("keyring", ""):
        keys.fault("keyring", f"is a file, and {KEYRING_KEYS} holds keys too; give one of them")
    return settings, faults


class _FacadeKeys(Keys):
    """The keys of ``facade.yaml`` that have a rule of their own."""

    def upstream(self, public_url: str, listen: Listen) -> UpstreamSettings:
        """Judge the MCP server behind us: never ourselves, or every request would come back for ever."""
        url = self.text("upstream.url", "")
        allow_private = self.flag("upstream.allowPrivate")
        if not url:
            self.fault("upstream.url", "is required: the URL of the MCP server, for example https://x.example/mcp")
        else:
            try:
                Egress().check_url(url, allow_private=allow_private)
                if _is_ours(url, public_url, listen):
                    self.fault("upstream.url", "is this façade itself; name the MCP server that it stands in front of")
            except EgressDenied as error:
                self.fault("upstream.url", f"{error.public} upstream.allowPrivate permits private addresses")
        return UpstreamSettings(
            url=url,
            allow_private=allow_private,
            allowed_request_headers=self.headers("upstream.allowedRequestHeaders"),
            allowed_response_headers=self.headers("upstream.allowedResponseHeaders"),
        )

    def origins(self) -> frozenset[str]:
        """Judge the origins of pages that may call."""
        origins = self.texts("allowed_origins")
        for index, origin in enumerate(origins):
            if not is_origin_rule(origin):
                message = "must be * or an origin in lower case like https://app.example:8443"
                self.fault(f"allowed_origins[{index}]", message)
        return frozenset(origins)

    def headers(self, key: str) -> frozenset[str]:
        """Judge names of headers that pass beside those of MCP."""
        names = frozenset(name.lower() for name in self.texts(key))
        for name in sorted(names):
            message = header_name_fault(name)
            if message:
                self.fault(key, f"{name!r} {message}")
        return names

    def store(self) -> str:
        """Judge the database that remembers what was used up; a façade works without one."""
        url = self.text("store", "")
        for fault in address_faults(url) if url else ():
            self.fault("store", fault.message)
        return url


def _is_ours(url: str, public_url: str, listen: Listen) -> bool:
    upstream, public = parse_origin(url), parse_origin(public_url)
    if (upstream.host, upstream.port) == (public.host, public.port):
        return True
    same_machine = upstream.host in {listen.host, "localhost"} or (
        upstream.address is not None and upstream.address.is_loopback
    )
    return same_machine and upstream.port == listen.port


def _issuer_document(document: Mapping[str, Any], environ: Mapping[str, str], faults: list[Fault]) -> dict[str, Any]:
    """Return the issuer's document: that of the file or of the environment, with single variables over it."""
    text = environ.get(ISSUER_VARIABLE, "")
    if text:
        found, problems = parse_yaml(text, environ=environ)
        faults += [Fault(path=f"{ISSUER_VARIABLE} {fault.path}".strip(), message=fault.message) for fault in problems]
    else:
        given: object = document.get("issuer", {})
        if not isinstance(given, dict):
            faults.append(Fault(path="issuer", message="must be an object"))
            given = {}
        found = dict(cast("dict[str, Any]", given))
    for member, variable in ISSUER_KEYS.items():
        value = environ.get(variable, "")
        if value:
            found[member] = value.replace(",", " ").split() if member in _ISSUER_LISTS else value
    return _with_provider(found, environ, faults)


def _with_provider(document: dict[str, Any], environ: Mapping[str, str], faults: list[Fault]) -> dict[str, Any]:
    """Lay the provider's variables over the issuer's only connector, or make one of them."""
    given = {member: environ[variable] for member, variable in PROVIDER_KEYS.items() if environ.get(variable)}
    connectors: object = document.get("connectors") or []
    if not given or not isinstance(connectors, list):
        return document
    listed = cast("list[object]", connectors) or [DEFAULT_PROVIDER]
    if len(listed) != 1 or not isinstance(listed[0], dict):
        names = ", ".join(PROVIDER_KEYS[member] for member in given)
        message = f"has several entries, and {names} can only mean one; write the values into the entries"
        faults.append(Fault(path="issuer.connectors", message=message))
        return document
    return {**document, "connectors": [{**cast("dict[str, Any]", listed[0]), **given}]}


def _issuer(
    document: Mapping[str, Any], base: Path, faults: list[Fault]
) -> tuple[IssuerSettings, tuple[ClientRow, ...]]:
    """Read the issuer, which is the origin itself, and the clients that it holds."""
    if document.get("name", ROOT) != ROOT:
        faults.append(Fault(path="issuer.name", message="must be left out: a façade has one issuer, its public_url"))
    if "users" in document:
        faults.append(Fault(path="issuer.users", message="need a database; log in at a provider, or `portico serve`"))
    faults += _connector_faults(document)
    reader = Reader(file_reader(base))
    entry = {key: value for key, value in document.items() if key != "users"} | {"name": ROOT}
    declared = read_issuer(reader, entry, "issuer")
    faults += [_with_variable(fault) for fault in reader.faults]
    if declared is None or reader.faults:
        return IssuerSettings(name=ROOT), ()
    clients = tuple(client.row for client in declared.clients)
    return parse_issuer_settings(ROOT, declared.document), clients


def _with_variable(fault: Fault) -> Fault:
    """Say which variable the only connector's secret may come in: it has no option, as others would see that."""
    if fault.path != "issuer.connectors[0].clientSecret":
        return fault
    return Fault(path=fault.path, message=f"{fault.message}; it may come in {PROVIDER_KEYS['clientSecret']}")


def _connector_faults(document: Mapping[str, Any]) -> list[Fault]:
    connectors: object = document.get("connectors")
    if not isinstance(connectors, list) or not connectors:
        return [Fault(path="issuer.connectors", message=_NEEDS_A_PROVIDER)]
    listed = cast("list[object]", connectors)
    return [
        Fault(path=f"issuer.connectors[{index}].type", message="cannot be local: a façade has no users of its own")
        for index, entry in enumerate(listed)
        if isinstance(entry, dict) and cast("dict[str, object]", entry).get("type") == "local"
    ]
