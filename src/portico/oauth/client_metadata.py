"""Client id metadata documents: a client whose id is the URL at which it describes itself.

Sections are those of draft-ietf-oauth-client-id-metadata-document-02; MCP 2025-11-25 and later prefer such clients to
registered ones. Nothing is believed but what the host of the URL answers for: the document must name the very URL that
it was fetched from, byte for byte. Other URLs in it (``jwks_uri``, ``logo_uri``) are neither fetched nor shown, and
grants that are not offered here are passed over, because real documents name more than one server offers.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, cast

import msgspec

from portico.model.oauth_errors import InvalidClientMetadata
from portico.oauth.client import MAX_CLIENT_ID_CHARS, Client
from portico.oauth.client_document_settings import ClientDocumentSettings
from portico.oauth.issuer_settings import IssuerSettings
from portico.oauth.redirect_uri import MAX_PORT, host_of, kind_of, usable
from portico.oauth.registration import clean_name
from portico.oauth.strict_json import parse_object

MAX_DOCUMENT_BYTES: Final = 5 * 1024  #: section 8.7
MAX_REDIRECT_URIS: Final = 50  #: clients that cannot rely on loopback ports list each of theirs
MAX_DEPTH: Final = 8  #: levels of arrays and objects

_LABEL = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
#: No user, query, fragment, escape, backslash or upper-case host, so that whoever reads it reads the same: the URL
#: that is fetched is the text that was sent. A query would let anything that echoes its input speak for its host.
_URL = re.compile(
    rf"(https?)://((?:{_LABEL}\.){{0,20}}{_LABEL}|\[[0-9a-f:.]{{2,45}}\])(?::([1-9][0-9]{{0,4}}))?"
    r"(/[A-Za-z0-9\-._~!$*+,=:@/]+)\Z",
    re.ASCII,
)
_PUBLIC_NAME = re.compile(rf"(?:{_LABEL}\.)+[a-z](?:[a-z0-9-]*[a-z0-9])?\Z", re.ASCII)
_DOT_SEGMENT = re.compile(r"/\.{1,2}(?:/|\Z)")
_SCHEME = re.compile(r"https?:", re.IGNORECASE | re.ASCII)

#: Members of a JWK that only its owner may know (RFC 7518 sections 6.2.2, 6.3.2 and 6.4; RFC 8037 section 2).
_PRIVATE_KEY_MEMBERS: Final = frozenset({"d", "p", "q", "dp", "dq", "qi", "oth", "k"})
_SECRET_MEMBERS: Final = ("client_secret", "client_secret_expires_at")


@dataclass(frozen=True, slots=True, kw_only=True)
class DocumentUrl:
    """A client id that may be fetched."""

    text: str
    host: str
    port: int | None  #: None for the one of its scheme
    named: bool  #: the administrator wrote the host down

    @property
    def authority(self) -> str:
        """Host and port, as people are shown it."""
        return self.host if self.port is None else f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientDocument:
    """What is kept of a document that is in order; which of it counts is up to each issuer's settings."""

    url: str
    name: str
    redirect_uris: tuple[str, ...]


class _Metadata(msgspec.Struct, frozen=True):
    """What is read of a document; other members are ignored."""

    client_id: str
    client_name: str
    redirect_uris: list[str]
    grant_types: list[str] | None = None
    response_types: list[str] | None = None
    token_endpoint_auth_method: str | None = None
    token_endpoint_auth_methods_supported: list[str] | None = None
    application_type: str | None = None


def is_document_id(client_id: str) -> bool:
    """Tell whether a client id means a document; sealed ids never look so (section 7.1)."""
    return _SCHEME.match(client_id) is not None


def judge_document_url(client_id: str, settings: ClientDocumentSettings) -> DocumentUrl:
    """Judge a client id before anything is fetched (section 3).

    Raises:
        InvalidClientMetadata: it is no URL of the form that is fetched, or its host may not describe clients here.
    """
    found = _URL.match(client_id) if len(client_id) <= MAX_CLIENT_ID_CHARS else None
    if found is None or _DOT_SEGMENT.search(found[4]) or int(found[3] or 1) > MAX_PORT:
        raise InvalidClientMetadata(
            "The client id is a URL, but none that is fetched: it must be https with a path, "
            "without user, query, fragment, escapes and dot segments."
        )
    scheme, host, port = found[1], found[2], int(found[3]) if found[3] else None
    if not settings.allow_private and (scheme != "https" or not _PUBLIC_NAME.match(host)):
        raise InvalidClientMetadata("The client id must be an https URL on a public host name.")
    standing = settings.standing_of(host, port)
    if standing == "refused":
        raise InvalidClientMetadata(
            f"Applications described by {_authority(host, port)} are not accepted here; "
            "an administrator can name it in clientDocuments.allowedHosts."
        )
    return DocumentUrl(text=client_id, host=host, port=port, named=standing == "named")


def parse_document(body: bytes, url: str) -> ClientDocument:
    """Read and judge the document that was fetched from ``url`` (section 4), whatever the issuer allows.

    Raises:
        InvalidClientMetadata: it is malformed, speaks for another URL, holds a secret, or describes a client that
            cannot log in here.
    """
    if len(body) > MAX_DOCUMENT_BYTES:
        raise InvalidClientMetadata(f"The application's document is larger than {MAX_DOCUMENT_BYTES} bytes.")
    try:
        members = parse_object(body, max_depth=MAX_DEPTH)
        _refuse_secrets(members)
        metadata = msgspec.convert(members, _Metadata)
    except msgspec.ValidationError as error:
        raise InvalidClientMetadata(f"The application's document is malformed: {error}.") from error
    except ValueError as error:
        raise InvalidClientMetadata(f"The application's document is no JSON object: {error}.") from error
    if metadata.client_id != url:
        raise InvalidClientMetadata("The application's document names another client_id than its own URL.")
    _judge_authentication(metadata)
    if "authorization_code" not in (metadata.grant_types or ("authorization_code",)):
        raise InvalidClientMetadata("grant_types of the application's document lacks authorization_code.")
    if "code" not in (metadata.response_types or ("code",)):
        raise InvalidClientMetadata("response_types of the application's document lacks code.")
    if not metadata.client_name.strip():
        raise InvalidClientMetadata("client_name of the application's document is empty.")
    return ClientDocument(url=url, name=clean_name(metadata.client_name), redirect_uris=_judge_redirects(metadata))


def judge_document(document: ClientDocument, url: DocumentUrl, settings: IssuerSettings) -> Client:
    """Return the client that a document describes, with the redirect URIs that this issuer lets it use.

    Raises:
        InvalidClientMetadata: it may use none of them.
    """
    client = Client(id=document.url, kind="document", name=document.name, redirect_uris=document.redirect_uris)
    uris = tuple(uri for uri in document.redirect_uris if may_return_to(uri, client, settings))
    if not uris:
        raise InvalidClientMetadata(
            f"The application returns only to addresses that are not allowed here; an administrator can name "
            f"{url.authority} in clientDocuments.allowedHosts, or the addresses in allowedRedirectUris."
        )
    return Client(id=document.url, kind="document", name=document.name, redirect_uris=uris)


def may_return_to(uri: str, client: Client, settings: IssuerSettings) -> bool:
    """Tell whether a code of this client may go to ``uri``.

    Loopback and listed ones as for every client; one that is described by a document also to the origin of that
    document, when its host is named in the settings (section 8.1).
    """
    if usable(uri, settings.redirects):
        return True
    if client.kind != "document" or kind_of(uri) != "other" or not uri.startswith("https://"):
        return False
    try:
        own = judge_document_url(client.id, settings.client_documents)
    except InvalidClientMetadata:  # its host was taken off the list meanwhile
        return False
    return settings.client_documents.enabled and own.named and host_of(uri) == own.authority


def document_host(client: Client) -> str:
    """Return the host that answers for a client, which the consent page shows (section 8.5); empty for other kinds."""
    found = _URL.match(client.id) if client.kind == "document" else None
    return "" if found is None else _authority(found[2], int(found[3]) if found[3] else None)


def is_unproven(client: Client, redirect_uri: str) -> bool:
    """Tell whether any program on the person's computer could pass for this client (MCP: warn at loopback URIs).

    Its document says where codes go, but behind a loopback address is whoever listens there.
    """
    return client.kind == "document" and kind_of(redirect_uri) == "loopback"


def _refuse_secrets(members: Mapping[str, Any]) -> None:
    """Section 4.1: what is published is no secret, and whoever publishes one must learn of it."""
    for name in _SECRET_MEMBERS:
        if name in members:
            raise InvalidClientMetadata(f"The application's document holds {name}; that must never be published.")
    key_set = members.get("jwks")
    keys: object = cast("dict[str, object]", key_set).get("keys") if isinstance(key_set, dict) else None
    for key in cast("list[object]", keys) if isinstance(keys, list) else ():
        if isinstance(key, dict) and _PRIVATE_KEY_MEMBERS & set(cast("dict[str, object]", key)):
            raise InvalidClientMetadata("The application's document holds a private key; that must never be published.")


def _judge_authentication(metadata: _Metadata) -> None:
    """Clients log in without a secret: by ``none``, or with a choice that holds it (OpenID RP Metadata Choices 1.0)."""
    method = metadata.token_endpoint_auth_method or "none"
    if method.startswith("client_secret"):
        raise InvalidClientMetadata("The application's document asks for a shared secret, which it cannot have.")
    if "none" not in {method, *(metadata.token_endpoint_auth_methods_supported or ())}:
        raise InvalidClientMetadata(
            f"The application's document asks for token_endpoint_auth_method {clean_name(method)}; "
            "only none is offered."
        )


def _judge_redirects(metadata: _Metadata) -> tuple[str, ...]:
    uris = tuple(dict.fromkeys(metadata.redirect_uris))
    if not uris or len(uris) > MAX_REDIRECT_URIS:
        raise InvalidClientMetadata(f"redirect_uris of the application's document must hold 1 to {MAX_REDIRECT_URIS}.")
    for number, uri in enumerate(uris):
        kind = kind_of(uri)
        if kind == "refused" or (kind == "loopback" and metadata.application_type == "web"):
            raise InvalidClientMetadata(
                f"redirect_uris[{number}] of the application's document is malformed, "
                "of a scheme that is never used, or loopback in an application_type web."
            )
    return uris


def _authority(host: str, port: int | None) -> str:
    return host if port is None else f"{host}:{port}"
