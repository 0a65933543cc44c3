"""Dynamic client registration of public clients (RFC 7591), without a row: the client id holds the client, sealed.

Such an id does not expire and survives restarts, because clients keep theirs for years and do not recover from a dead
one. No secret is ever given out: an anonymous caller who is handed one owns whatever it opens.
"""

import unicodedata
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from portico.model.oauth_errors import InvalidClientMetadata, InvalidRedirectUri
from portico.oauth.client import MAX_CLIENT_ID_CHARS, Client
from portico.oauth.issuer_settings import IssuerSettings
from portico.oauth.redirect_uri import kind_of
from portico.oauth.strict_json import parse_object

PURPOSE: Final = "client-id"  #: of the seal; the issuer's URL is its associated data
MAX_BODY_BYTES: Final = 16 * 1024
MAX_REDIRECT_URIS: Final = 10
MAX_NAME_CHARS: Final = 80
UNNAMED: Final = "Unnamed application"

#: Scopes of OpenID Connect that clients add by habit; they are left out of what is granted, not refused.
HABITUAL_SCOPES: Final = frozenset({"openid", "profile", "email", "address", "phone", "offline_access"})

_GRANTS: Final = ("authorization_code", "refresh_token")
_DEVICE_CODE: Final = "urn:ietf:params:oauth:grant-type:device_code"  # asked for by habit; left out (RFC 7591 3.2.1)
_INVISIBLE: Final = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})


class _Metadata(msgspec.Struct, frozen=True):
    """What is read of a registration; other members are ignored (RFC 7591 section 2)."""

    redirect_uris: list[str] | None = None
    client_name: str | None = None
    grant_types: list[str] | None = None
    response_types: list[str] | None = None
    scope: str | None = None
    application_type: str | None = None


class _Sealed(msgspec.Struct, frozen=True, array_like=True):
    redirect_uris: tuple[str, ...]
    name: str
    issued_at: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Registration:
    """A registration that was accepted."""

    redirect_uris: tuple[str, ...]
    name: str
    application_type: str
    issued_at: int  #: seconds since the epoch

    def plaintext(self) -> bytes:
        """Return what is sealed into the client id."""
        return msgspec.msgpack.encode(
            _Sealed(redirect_uris=self.redirect_uris, name=self.name, issued_at=self.issued_at)
        )


def judge_registration(body: bytes, settings: IssuerSettings, now: float) -> Registration:
    """Read and judge a registration request.

    Members that this server does not offer but that do no harm are replaced, as RFC 7591 section 3.2.1 allows: the
    authentication method is always ``none``, and well-formed redirect URIs that are not on the allow-list are left
    out as long as one remains (editors register their hosted callbacks beside a loopback one).

    Raises:
        InvalidClientMetadata: no JSON object, or a grant, response type or scope that is not for self-registration.
        InvalidRedirectUri: none is usable, or one is dangerous or contradicts ``application_type``.
    """
    asked = _decode(body)
    _judge_grants(asked)
    _judge_scope(asked.scope or "", settings)
    return Registration(
        redirect_uris=_judge_redirects(asked, settings.redirects),
        name=clean_name(asked.client_name or ""),
        application_type="web" if asked.application_type == "web" else "native",
        issued_at=int(now),
    )


def registration_document(registration: Registration, client_id: str, settings: IssuerSettings) -> dict[str, Any]:
    """Return the answer to a registration (RFC 7591 section 3.2.1).

    Raises:
        InvalidClientMetadata: the client id became too long to be stored.
    """
    if len(client_id) > MAX_CLIENT_ID_CHARS:
        raise InvalidClientMetadata("The redirect URIs are too long together; register fewer or shorter ones.")
    return {
        "client_id": client_id,
        "client_id_issued_at": registration.issued_at,
        "client_name": registration.name,
        "redirect_uris": list(registration.redirect_uris),
        "grant_types": list(_GRANTS),
        "response_types": ["code"],
        "token_endpoint_auth_method": "none",
        "application_type": registration.application_type,
        "scope": " ".join((*settings.scopes, "offline_access")),
    }


def registered_client(client_id: str, plaintext: bytes) -> Client:
    """Return the client whose id was opened to ``plaintext``."""
    sealed = msgspec.msgpack.decode(plaintext, type=_Sealed)
    return Client(id=client_id, kind="registered", name=sealed.name, redirect_uris=sealed.redirect_uris)


def clean_name(name: str) -> str:
    """Return a client's name as it may be shown: one line, nothing invisible or reordering, cut (CWE-451)."""
    visible = "".join(
        " " if character.isspace() else character
        for character in unicodedata.normalize("NFC", name[: MAX_NAME_CHARS * 20])
        if character.isspace() or unicodedata.category(character) not in _INVISIBLE
    )
    line = " ".join(visible.split())
    return (line if len(line) <= MAX_NAME_CHARS else line[: MAX_NAME_CHARS - 1] + "…") or UNNAMED


def _decode(body: bytes) -> _Metadata:
    try:
        return msgspec.convert(parse_object(body), _Metadata)
    except msgspec.ValidationError as error:
        raise InvalidClientMetadata(f"The registration is malformed: {error}.") from error
    except ValueError as error:
        raise InvalidClientMetadata(f"The registration is no JSON object: {error}.") from error


def _judge_grants(asked: _Metadata) -> None:
    grants = [grant for grant in asked.grant_types or _GRANTS if grant != _DEVICE_CODE]
    if "authorization_code" not in grants or not set(grants) <= set(_GRANTS):
        raise InvalidClientMetadata("grant_types may hold authorization_code and refresh_token only.")
    if not set(asked.response_types or ["code"]) <= {"code"}:
        raise InvalidClientMetadata("response_types may hold code only.")


def _judge_scope(scope: str, settings: IssuerSettings) -> None:
    unknown = set(scope.split()) - HABITUAL_SCOPES - set(settings.scopes)
    if unknown:
        raise InvalidClientMetadata(f"scope may hold {' '.join(settings.scopes)} and offline_access only.")


def _judge_redirects(asked: _Metadata, allowed: frozenset[str]) -> tuple[str, ...]:
    uris = tuple(dict.fromkeys(asked.redirect_uris or ()))
    if not uris:
        raise InvalidRedirectUri("redirect_uris is missing; register at least one.")
    if len(uris) > MAX_REDIRECT_URIS:
        raise InvalidRedirectUri(f"At most {MAX_REDIRECT_URIS} redirect URIs may be registered.")
    for number, uri in enumerate(uris):
        kind = kind_of(uri)
        if kind == "refused":
            raise InvalidRedirectUri(
                f"redirect_uris[{number}] is neither http on localhost, 127.0.0.1 or [::1], nor https, "
                "nor a private-use scheme, or it is malformed."
            )
        if kind == "loopback" and asked.application_type == "web":
            raise InvalidRedirectUri(f"redirect_uris[{number}] is a loopback address; application_type must be native.")
    usable = tuple(uri for uri in uris if kind_of(uri) == "loopback" or uri in allowed)
    if not usable:
        raise InvalidRedirectUri(
            "None of the redirect URIs is allowed: use http on 127.0.0.1 with any port, "
            "or ask the administrator to add yours to allowedRedirectUris of this issuer."
        )
    return usable
