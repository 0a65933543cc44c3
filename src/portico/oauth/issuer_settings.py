"""The settings of an issuer, parsed once out of its document."""

import re
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from portico.model.errors import ConfigError, Fault
from portico.oauth.client_document_settings import ClientDocumentSettings, client_document_faults
from portico.oauth.connector_faults import connector_faults
from portico.oauth.connector_settings import ConnectorSettings
from portico.oauth.redirect_uri import kind_of
from portico.oauth.scope import is_scope_token

MAX_ACCESS_TOKEN_SECONDS: Final = 24 * 3600
MIN_ACCESS_TOKEN_SECONDS: Final = 60
MAX_REFRESH_SECONDS: Final = 10 * 365 * 24 * 3600

_NAME = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,62}[a-z0-9])?\Z", re.ASCII)


class IssuerSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="camel"):
    """One issuer. Times are seconds."""

    name: str  #: of its place under ``/i/``; ``root`` is the origin itself
    title: str = ""  #: what its pages call it; empty: Portico
    access_token_seconds: int = 15 * 60
    refresh_idle_seconds: int = 30 * 24 * 3600
    refresh_absolute_seconds: int = 90 * 24 * 3600
    scopes: tuple[str, ...] = ("mcp/invoke",)
    default_scopes: tuple[str, ...] = ()  #: granted when a client asks for none; empty: all of ``scopes``
    scope_descriptions: dict[str, str] = {}  #: what the consent page says in place of a scope
    allowed_redirect_uris: tuple[str, ...] = ()  #: exact; loopback ones need no entry
    client_documents: ClientDocumentSettings = ClientDocumentSettings()  #: clients that describe themselves at a URL
    connectors: tuple[ConnectorSettings, ...] = ()  #: who says who a person is; empty: local users

    @property
    def redirects(self) -> frozenset[str]:
        """The exact redirect URIs beside loopback."""
        return frozenset(self.allowed_redirect_uris)


def parse_issuer_settings(name: str, document: Mapping[str, Any]) -> IssuerSettings:
    """Parse an issuer's document; its ``name`` member may be left out.

    Raises:
        ConfigError: every fault at once.
    """
    try:
        settings = msgspec.convert({**document, "name": name}, IssuerSettings)
    except msgspec.ValidationError as error:
        raise ConfigError([Fault(path=f"issuers.{name}", message=str(error))]) from error
    faults = [Fault(path=f"issuers.{name}.{path}", message=message) for path, message in _faults(settings)]
    if document.get("name", name) != name:
        faults.append(Fault(path=f"issuers.{name}.name", message="differs from the issuer's own name"))
    if faults:
        raise ConfigError(faults)
    return settings


def _faults(settings: IssuerSettings) -> list[tuple[str, str]]:
    return [
        *_name_faults(settings),
        *_time_faults(settings),
        *_scope_faults(settings),
        *_redirect_faults(settings),
        *((f"clientDocuments.{path}", fix) for path, fix in client_document_faults(settings.client_documents)),
        *connector_faults(settings.connectors, settings.scopes),
    ]


def _name_faults(settings: IssuerSettings) -> list[tuple[str, str]]:
    if _NAME.match(settings.name):
        return []
    return [("name", "must be 1 to 64 lower-case letters, digits and inner hyphens")]


def _time_faults(settings: IssuerSettings) -> list[tuple[str, str]]:
    faults: list[tuple[str, str]] = []
    if not MIN_ACCESS_TOKEN_SECONDS <= settings.access_token_seconds <= MAX_ACCESS_TOKEN_SECONDS:
        faults.append(("accessTokenSeconds", f"must be from {MIN_ACCESS_TOKEN_SECONDS} to {MAX_ACCESS_TOKEN_SECONDS}"))
    if not settings.access_token_seconds <= settings.refresh_idle_seconds <= MAX_REFRESH_SECONDS:
        faults.append(("refreshIdleSeconds", "must be at least accessTokenSeconds and at most ten years"))
    if not settings.refresh_idle_seconds <= settings.refresh_absolute_seconds <= MAX_REFRESH_SECONDS:
        faults.append(("refreshAbsoluteSeconds", "must be at least refreshIdleSeconds and at most ten years"))
    return faults


def _scope_faults(settings: IssuerSettings) -> list[tuple[str, str]]:
    faults = [
        ("scopes", f"{scope!r} is not a scope (RFC 6749 section 3.3)")
        for scope in settings.scopes
        if not is_scope_token(scope)
    ]
    if not settings.scopes:
        faults.append(("scopes", "needs at least one scope, for example mcp/invoke"))
    for member, listed in (
        ("defaultScopes", settings.default_scopes),
        ("scopeDescriptions", settings.scope_descriptions),
    ):
        faults += [(member, f"{scope!r} is not among scopes") for scope in listed if scope not in settings.scopes]
    return faults


def _redirect_faults(settings: IssuerSettings) -> list[tuple[str, str]]:
    hints = {
        "loopback": "is a loopback address, which every client may use already; remove it",
        "refused": "must be an https URL or a private-use scheme, without user information, fragment or `..`",
    }
    return [
        ("allowedRedirectUris", f"{uri!r} {hints[kind]}")
        for uri in settings.allowed_redirect_uris
        if (kind := kind_of(uri)) != "other"
    ]
