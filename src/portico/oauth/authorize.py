"""The authorization request (RFC 6749 section 4.1.1, OAuth 2.1 section 4.1.1): judged in two halves.

Until client and redirect URI are proven, an error is a page for the person; after that it is a redirect to the client,
with its ``state`` and with our ``iss`` (RFC 9207), which stands on errors as on success.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlencode

import msgspec

from portico.model.errors import InputError
from portico.model.oauth_errors import (
    InvalidRedirectUri,
    InvalidRequest,
    InvalidScope,
    OAuthError,
    RegistrationNotSupported,
    RequestNotSupported,
    RequestUriNotSupported,
    UnauthorizedClient,
    UnsupportedResponseType,
)
from portico.oauth.client import Client
from portico.oauth.client_metadata import may_return_to
from portico.oauth.issuer_settings import IssuerSettings
from portico.oauth.parameters import Parameters
from portico.oauth.pkce import judge_challenge
from portico.oauth.redirect_uri import matches, usable
from portico.oauth.refusal import refusal
from portico.oauth.registration import HABITUAL_SCOPES
from portico.oauth.resource_indicator import choose_resource
from portico.oauth.scope import parse_scope

MAX_STATE_CHARS: Final = 2048
MAX_NONCE_CHARS: Final = 512

_PRINTABLE = re.compile(r"[ -~]*\Z", re.ASCII)
_NOT_READ: Final[tuple[tuple[str, type[OAuthError]], ...]] = (
    ("request", RequestNotSupported),
    ("request_uri", RequestUriNotSupported),  # and never fetched
    ("registration", RegistrationNotSupported),
)


class AuthorizationRequest(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """A request that passed every rule; what login and consent pages carry along, sealed."""

    client_id: str
    redirect_uri: str
    state: str
    code_challenge: str  #: empty: the client cannot do PKCE, and an administrator said so
    scopes: tuple[str, ...]
    resource: str
    nonce: str = ""
    login: bool = False  #: the person shall prove themselves, also when somebody is logged in

    def parameters(self) -> dict[str, str]:
        """Return the request as parameters again, for the way back from the login page; ``login`` is done by then."""
        asked = {
            "response_type": "code",
            "client_id": self.client_id,
            "redirect_uri": self.redirect_uri,
            "state": self.state,
            "code_challenge": self.code_challenge,
            "code_challenge_method": "S256" if self.code_challenge else "",
            "scope": " ".join(self.scopes),
            "resource": self.resource,
            "nonce": self.nonce,
        }
        return {name: value for name, value in asked.items() if value}


@dataclass(frozen=True, slots=True, kw_only=True)
class Prompt:
    """What ``prompt`` asks for (OpenID Connect Core section 3.1.2.1). Consent is asked for each time anyway."""

    silent: bool = False  #: ``none``
    login: bool = False  #: ``login`` or ``select_account``: also when somebody is logged in


def judge_redirect(parameters: Parameters, client: Client, settings: IssuerSettings) -> str:
    """Return the redirect URI that errors and codes may go to.

    Raises:
        UnauthorizedClient: a machine, which nobody can let in.
        InvalidRequest: it is missing (required also when only one is registered) or repeated.
        InvalidRedirectUri: it is not one of this client's, or no longer allowed.
    """
    if client.kind == "machine":
        raise UnauthorizedClient("This client is a machine; it uses client credentials and no login page.")
    uri = parameters.required("redirect_uri")
    check_redirect(uri, client, settings)
    return uri


def check_redirect(uri: str, client: Client, settings: IssuerSettings) -> None:
    """Check that a code may go to ``uri``; asked again when the code is made (the list may have shrunk).

    What a held client may use an administrator wrote down for it alone. Whatever names its redirect URIs itself may
    use those only that the issuer's list has too.

    Raises:
        InvalidRedirectUri: it is not one of this client's, or no longer allowed.
    """
    if not any(matches(registered, uri) for registered in client.redirect_uris):
        raise InvalidRedirectUri("The application asked to return to an address that it did not register.")
    if not (usable(uri, frozenset(client.redirect_uris)) if client.held else may_return_to(uri, client, settings)):
        raise InvalidRedirectUri("The application asked to return to an address that is not allowed here.")


def state_of(parameters: Parameters) -> str:
    """Return the client's ``state``, which every redirect carries back.

    Raises:
        InvalidRequest: it is repeated, too long, or holds what may not stand in it.
    """
    state = parameters.one("state")
    if len(state) > MAX_STATE_CHARS or not _PRINTABLE.match(state):
        raise InvalidRequest(f"state must be at most {MAX_STATE_CHARS} printable ASCII characters.")
    return state


def judge_request(
    parameters: Parameters,
    *,
    client: Client,
    redirect_uri: str,
    state: str,
    settings: IssuerSettings,
    resources: Sequence[str],
) -> AuthorizationRequest:
    """Judge everything that is left once the redirect URI is proven.

    Raises:
        OAuthError: with the code that the redirect tells the client.
    """
    parameters.no_repeats(but="resource")
    if parameters.required("response_type") != "code":
        raise UnsupportedResponseType("response_type must be code.")
    if parameters.one("response_mode") not in {"", "query"}:
        raise InvalidRequest("response_mode must be query.")
    for name, refused in _NOT_READ:
        if parameters.one(name):
            raise refused(f"{name} is not supported; send plain parameters of a registered client.")
    nonce = parameters.one("nonce")
    if len(nonce) > MAX_NONCE_CHARS:
        raise InvalidRequest(f"nonce must be at most {MAX_NONCE_CHARS} characters.")
    return AuthorizationRequest(
        client_id=client.id,
        redirect_uri=redirect_uri,
        state=state,
        code_challenge=judge_challenge(
            parameters.one("code_challenge"),
            parameters.one("code_challenge_method"),
            required=client.needs_pkce,
        ),
        scopes=judge_scopes(
            parameters.one("scope"),
            allowed=client.scopes or settings.scopes,
            default=client.scopes or settings.default_scopes or settings.scopes,
        ),
        resource=choose_resource(parameters.every("resource"), default=client.default_resource, resources=resources),
        nonce=nonce,
    )


def judge_prompt(parameters: Parameters) -> Prompt:
    """Read ``prompt``; values that are not known are ignored.

    Raises:
        InvalidRequest: ``none`` together with others.
    """
    asked = set(parameters.one("prompt").split())
    if "none" in asked and len(asked) > 1:
        raise InvalidRequest("prompt=none excludes other prompts.")
    return Prompt(silent="none" in asked, login=bool(asked & {"login", "select_account"}))


def judge_scopes(scope: str, *, allowed: Sequence[str], default: Sequence[str]) -> tuple[str, ...]:
    """Return the scopes that a request asks for, in the issuer's order; ``default`` when it asks for none of ours.

    Scopes of OpenID Connect that clients add by habit are left out: no ID token is issued here.

    Raises:
        InvalidScope: one is unknown, malformed or not this client's (RFC 6749 section 3.3).
    """
    try:
        asked = set(parse_scope(scope))
    except InputError as error:
        raise InvalidScope(error.public) from error
    wanted = asked - (HABITUAL_SCOPES - set(allowed))
    if not wanted <= set(allowed):
        raise InvalidScope(f"scope may hold {' '.join(allowed) or 'nothing'} for this client.")
    return tuple(one for one in allowed if one in wanted) or tuple(default)


def success_url(request: AuthorizationRequest, code: str, issuer: str) -> str:
    """Return where the browser takes the code (RFC 6749 section 4.1.2, RFC 9207 section 2)."""
    return redirect_with(request.redirect_uri, {"code": code, "state": request.state, "iss": issuer})


def error_url(redirect_uri: str, error: OAuthError, *, state: str, issuer: str) -> str:
    """Return where the browser takes an error (RFC 6749 section 4.1.2.1, RFC 9207 section 2)."""
    return redirect_with(redirect_uri, {**refusal(error), "state": state, "iss": issuer})


def redirect_with(uri: str, parameters: Mapping[str, str]) -> str:
    """Add ``parameters`` to the query of ``uri``, without the empty ones."""
    query = urlencode({name: value for name, value in parameters.items() if value})
    if "?" not in uri:
        return f"{uri}?{query}"
    return f"{uri}{query}" if uri.endswith(("?", "&")) else f"{uri}&{query}"
