"""Registration, login, token and refresh, as the client would do them."""

import base64
import hashlib
import json
from typing import Final
from urllib.parse import quote, urlencode

from portico.cli.doctor import judge_cors, judge_registration
from portico.cli.doctor.discovery import ASKS_FOR_NONE
from portico.cli.doctor.finding import FaultFound
from portico.cli.doctor.http import Answer
from portico.cli.doctor.journey import FORM, JSON, Journey, Skipped
from portico.cli.doctor.judge_authorization import judge_probe, judge_response
from portico.cli.doctor.judge_registration import Client
from portico.cli.doctor.judge_resource import origin_of
from portico.cli.doctor.judge_server import Server
from portico.cli.doctor.judge_token import Tokens, judge_token, read_claims
from portico.cli.doctor.profiles import ANY_PORT

EXAMPLE_PORT: Final = "49210"  #: in a loopback redirect when nobody listens
SECRET_BYTES: Final = 32  #: of randomness in state and verifier
HAS_TOKEN: Final = "a token was given"  # noqa: S105  # a sentence


async def registration(journey: Journey) -> str:
    """Become known as a client."""
    server = _server(journey)
    order, profile = journey.order, journey.profile
    journey.redirect_uri = await _redirect_uri(journey)
    if order.client_id:
        journey.client = _given(journey, server)
        return f"client id {order.client_id} was given"
    if judge_registration.choose(profile, server) == "document":
        journey.client = Client(id=profile.document)
        return f"by metadata document {profile.document}"
    answer = await _register(journey, server)
    journey.client = judge_registration.judge_registration(
        answer, redirect_uri=journey.redirect_uri, asked=profile.authentication
    )
    journey.masker.remember(journey.client.secret.reveal())
    journey.note(*journey.client.notes)
    return "registered by itself"


async def _redirect_uri(journey: Journey) -> str:
    wanted = journey.order.redirect_uri or next(iter(journey.profile.redirect_uris), "")
    if journey.login is not None and wanted:
        return await journey.login.open(wanted)
    return wanted.replace(ANY_PORT, EXAMPLE_PORT)


def _given(journey: Journey, server: Server) -> Client:
    secret = journey.order.client_secret
    method = journey.profile.authentication if secret else "none"
    if method == "none" and secret:  # a client that is public by itself, registered by hand as a confidential one
        method = "client_secret_post"
    if secret and server.authentication and method not in server.authentication:
        offered = [name for name in ("client_secret_basic", "client_secret_post") if name in server.authentication]
        method = offered[0] if offered else method
    return Client(id=journey.order.client_id, secret=secret, authentication=method)


async def _register(journey: Journey, server: Server) -> Answer:
    others = [uri.replace(ANY_PORT, EXAMPLE_PORT) for uri in journey.profile.redirect_uris[1:]]
    sent = [journey.redirect_uri, *([] if journey.order.redirect_uri else others)]
    body = json.dumps(judge_registration.registration_of(journey.profile, sent, journey.scopes)).encode()
    origin, endpoint = journey.profile.origin, server.registration_endpoint
    if origin:
        asked = judge_cors.preflight(origin, ("content-type",))
        judge_cors.judge_preflight(await journey.send("OPTIONS", endpoint, asked), origin, ("content-type",))
    answer = await journey.send("POST", endpoint, {"content-type": JSON, "accept": JSON, "origin": origin}, body)
    if origin:
        judge_cors.judge_readable(answer, origin)
    for uri in judge_registration.left_out(answer, sent):
        journey.note(f"The server did not register {uri}; {journey.profile.title} uses it elsewhere.")
    return answer


async def authorize(journey: Journey) -> str:
    """Ask for a login, and follow it to its end when somebody is there to log in."""
    server, client = _server(journey), _client(journey)
    if journey.profile.grant == "client_credentials":
        raise Skipped("a program does not log in")
    state = journey.random(SECRET_BYTES)
    journey.verifier = journey.random(SECRET_BYTES) if journey.profile.pkce else ""
    journey.masker.remember(state, journey.verifier)
    url = _authorization_url(journey, server, client, state)
    probe = judge_probe(
        await journey.send("GET", url, {"accept": "text/html"}), journey.redirect_uri, resource=journey.target
    )
    if probe.kind == "code":
        journey.masker.remember(probe.parameters.get("code", ""))
        journey.code = judge_response(probe.parameters, state=state, server=server, resource=journey.target)
        journey.note("The code came at once, without a login or consent page: nobody was asked.")
        return "a code came back"
    where = "a page is shown" if probe.kind == "page" else f"the browser is sent on to {probe.location.split('?')[0]}"
    if journey.login is None:
        return f"{where}; nobody logs in here (--login)"
    parameters = await journey.login.bring(url)
    journey.masker.remember(parameters.get("code", ""))
    journey.code = judge_response(parameters, state=state, server=server, resource=journey.target)
    return f"{where}; the login brought a code"


def _authorization_url(journey: Journey, server: Server, client: Client, state: str) -> str:
    scopes = list(journey.scopes)
    if journey.profile.asks_offline and "offline_access" in server.scopes and "offline_access" not in scopes:
        scopes.append("offline_access")
    parameters = {
        "response_type": "code",
        "client_id": client.id,
        "redirect_uri": journey.redirect_uri,
        "state": state,
        "scope": " ".join(scopes),
        "resource": journey.target,
    }
    if journey.verifier:
        digest = hashlib.sha256(journey.verifier.encode()).digest()
        parameters["code_challenge"] = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
        parameters["code_challenge_method"] = "S256"
    mark = "&" if "?" in server.authorization_endpoint else "?"
    return (
        server.authorization_endpoint + mark + urlencode({name: value for name, value in parameters.items() if value})
    )


async def token(journey: Journey) -> str:
    """Get a token."""
    server, client = _server(journey), _client(journey)
    _guard_secret(journey, server)
    if journey.profile.grant == "client_credentials":
        form = {"grant_type": "client_credentials", "scope": " ".join(journey.scopes), "resource": journey.target}
    elif journey.code:
        form = {
            "grant_type": "authorization_code",
            "code": journey.code,
            "redirect_uri": journey.redirect_uri,
            "code_verifier": journey.verifier,
            "resource": journey.target,
        }
    else:
        raise Skipped("nobody logged in; use --login in a browser's reach, or --token")
    _keep(journey, judge_token(await _ask_token(journey, server, client, form), resource=journey.target))
    return _told(journey)


async def refresh(journey: Journey) -> str:
    """Get the next token without the person."""
    server, client = _server(journey), _client(journey)
    if journey.tokens is None:
        raise Skipped("there is no token to refresh")
    if journey.profile.grant == "client_credentials":
        raise Skipped("a program asks for a new token instead")
    if not journey.tokens.refresh_token:
        raise Skipped("the server gave no refresh token: people log in anew when the token expires")
    form = {
        "grant_type": "refresh_token",
        "refresh_token": journey.tokens.refresh_token.reveal(),
        "resource": journey.target,
    }
    _keep(
        journey, judge_token(await _ask_token(journey, server, client, form), resource=journey.target, refreshing=True)
    )
    return "a new token came"


def _guard_secret(journey: Journey, server: Server) -> None:
    """Keep a given secret from an issuer that the endpoint alone names: else any endpoint could have it."""
    expected = journey.order.issuer
    if not journey.order.client_secret or server.issuer == expected:
        return
    if expected or origin_of(server.issuer) != origin_of(journey.order.url):
        raise Skipped(f"the endpoint names {server.issuer}; if your secret is for that, add --issuer {server.issuer}")


async def _ask_token(journey: Journey, server: Server, client: Client, form: dict[str, str]) -> Answer:
    headers = {"content-type": FORM, "accept": JSON, "origin": journey.profile.origin}
    sent = {name: value for name, value in form.items() if value}
    secret = client.secret.reveal()
    if client.authentication == "client_secret_basic":
        pair = f"{quote(client.id, safe='')}:{quote(secret, safe='')}".encode()  # RFC 6749 section 2.3.1
        encoded = base64.b64encode(pair).decode()
        journey.masker.remember(encoded)
        headers["authorization"] = f"Basic {encoded}"
    else:
        sent["client_id"] = client.id
        if client.authentication == "client_secret_post":
            sent["client_secret"] = secret
    answer = await journey.send("POST", server.token_endpoint, headers, urlencode(sent).encode())
    if journey.profile.origin:
        judge_cors.judge_readable(answer, journey.profile.origin)
    return answer


def _keep(journey: Journey, tokens: Tokens) -> None:
    journey.masker.remember(tokens.access_token.reveal(), tokens.refresh_token.reveal())
    if journey.tokens is not None and not tokens.refresh_token:
        journey.note("No new refresh token: the old one stays in use, which public clients should not have to do.")
    journey.tokens = tokens
    journey.claims = read_claims(tokens.access_token.reveal())
    journey.note(*tokens.notes)


def _told(journey: Journey) -> str:
    tokens, claims = journey.tokens, journey.claims
    if tokens is None:
        raise Skipped("there is no token")
    if journey.server and claims.issuer and claims.issuer != journey.server.issuer:
        journey.note(f"The token's iss is {claims.issuer}, not the metadata's issuer.")
    if claims.readable and journey.target and journey.target not in claims.audience:
        journey.note(
            f"The token's aud is {', '.join(claims.audience) or 'missing'}, not the resource that was asked for."
        )
    missing = set(journey.scopes) - set(tokens.scope.split()) if tokens.scope else set[str]()
    if missing:
        journey.note(f"Not granted: {' '.join(sorted(missing))}.")
    life = "" if tokens.expires_in is None else f", for {tokens.expires_in} s"
    return f"{'a JWT' if claims.readable else 'an opaque token'} came{life}" + (
        "" if tokens.refresh_token else ", without a refresh token"
    )


def _server(journey: Journey) -> Server:
    if journey.order.token:
        raise Skipped(HAS_TOKEN)
    if journey.asked.open:
        raise Skipped(ASKS_FOR_NONE)
    if journey.server is None:
        raise FaultFound("server_metadata_missing", "The server's endpoints are not known.")
    return journey.server


def _client(journey: Journey) -> Client:
    if journey.client is None:
        raise FaultFound("no_registration", "There is no client to go on with.")
    return journey.client
