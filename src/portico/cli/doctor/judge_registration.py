"""How a client becomes known, and what the server answers to its registration (RFC 7591). Pure."""

from dataclasses import dataclass
from typing import Any, Final, Literal, cast

from portico.cli.doctor.finding import FaultFound
from portico.cli.doctor.http import Answer
from portico.cli.doctor.judge_answer import error_of, json_of, refuse_redirect, words
from portico.cli.doctor.judge_server import Server
from portico.cli.doctor.profiles import Profile
from portico.model.secret import Secret
from portico.oauth.redirect_uri import matches

Way = Literal["given", "document", "dynamic"]

NO_SECRET: Final = Secret("")


@dataclass(frozen=True, slots=True, kw_only=True)
class Client:
    """The client that the walk goes on as."""

    id: str
    secret: Secret = NO_SECRET
    authentication: str = "none"
    notes: tuple[str, ...] = ()


def choose(profile: Profile, server: Server) -> Way:
    """Return how ``profile`` becomes known to ``server`` when nobody gave it a client id.

    A metadata document declares a public client; it is used only where the server takes those too.

    Raises:
        FaultFound: there is no way.
    """
    if (
        "document" in profile.registration
        and server.documents
        and (not server.authentication or "none" in server.authentication)
    ):
        return "document"
    if "dynamic" in profile.registration and server.registration_endpoint:
        return "dynamic"
    raise FaultFound(
        "no_registration",
        f"registration_endpoint is missing, client_id_metadata_document_supported is {str(server.documents).lower()}.",
        advice="Entra, Cognito, Okta and Google register no clients by themselves.",
    )


def registration_of(profile: Profile, redirect_uris: list[str], scopes: tuple[str, ...]) -> dict[str, Any]:
    """Return the registration that the client sends, under a name that a person recognizes on the consent page."""
    asked: dict[str, Any] = {
        "client_name": f"{profile.title} (portico doctor)",
        "redirect_uris": redirect_uris,
        "grant_types": ["authorization_code", "refresh_token"],
        "response_types": ["code"],
        "token_endpoint_auth_method": profile.authentication,
    }
    return asked | ({"scope": " ".join(scopes)} if scopes else {})


def judge_registration(answer: Answer, *, redirect_uri: str, asked: str) -> Client:
    """Return the client that was registered; ``asked`` is the authentication method that was sent.

    Raises:
        FaultFound: there is none, or it lacks the redirect URI.
    """
    refuse_redirect(answer)
    if answer.status not in {200, 201}:
        raise _refused(answer)
    document = json_of(answer, "The registration")
    client_id = document.get("client_id")
    if not isinstance(client_id, str) or not client_id:
        raise FaultFound("registration_refused", f"{answer.url} answers {answer.status} without a client_id.")
    registered = [uri for uri in cast("list[object]", document.get("redirect_uris") or []) if isinstance(uri, str)]
    if registered and not any(matches(uri, redirect_uri) for uri in registered):
        seen = f"{redirect_uri} was sent and left out; registered are {', '.join(registered)}."
        raise FaultFound("registration_redirect", seen)
    return _client(document, client_id, asked)


def left_out(answer: Answer, sent: list[str]) -> list[str]:
    """Return which of the redirect URIs that were ``sent`` the server did not register."""
    document = answer.json() or {}
    registered: object = document.get("redirect_uris")
    return [uri for uri in sent if uri not in registered] if isinstance(registered, list) else []


def _client(document: dict[str, Any], client_id: str, asked: str) -> Client:
    secret: object = document.get("client_secret")
    has_secret = isinstance(secret, str) and bool(secret)
    method: object = document.get("token_endpoint_auth_method")
    granted = method if isinstance(method, str) else asked if has_secret else "none"
    notes = [] if granted == asked else [f"It asked for {asked} and was registered with {granted}."]
    return Client(
        id=client_id,
        secret=Secret(str(secret)) if has_secret else NO_SECRET,
        authentication=granted,
        notes=tuple(notes),
    )


def _refused(answer: Answer) -> FaultFound:
    code, _ = error_of(answer)
    seen = f"{answer.url} answers {answer.status}{words(answer)}."
    if answer.status in {401, 403}:
        return FaultFound("registration_protected", seen)
    return FaultFound("registration_redirect" if code == "invalid_redirect_uri" else "registration_refused", seen)
