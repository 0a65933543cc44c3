"""The consent page, and ``POST /consent``: the only place where an authorization code is made."""

from typing import Any, Final
from urllib.parse import urlencode, urlsplit

from sqlalchemy.ext.asyncio import AsyncConnection
from starlette.requests import Request
from starlette.responses import Response

from portico.issuer.clients import find_client, remembered
from portico.issuer.flow import ConsentForm, bind, browser_of, open_consent, seal_consent
from portico.issuer.people import session_of, user_of
from portico.issuer.powers import Powers
from portico.issuer.store import Issuer
from portico.model.errors import AccessDenied, Conflict, Forbidden, InvalidRequest, OAuthError
from portico.oauth.authorize import AuthorizationRequest, check_redirect, error_url, judge_scopes, success_url
from portico.oauth.client import Client
from portico.oauth.redirect_uri import host_of, kind_of
from portico.oauth.resource_indicator import choose_resource
from portico.oauth.token import CODE_SECONDS, token_digest
from portico.storage import authorization_codes, clients, grants
from portico.storage.authorization_codes import AuthorizationCodeRow
from portico.storage.grants import GrantRow
from portico.storage.users import UserRow
from portico.web.forms import read_form
from portico.web.pages import see_other
from portico.web.same_site import refuse_cross_site
from portico.web.sessions import Session, new_token

#: Scopes that need no explanation by the administrator.
SCOPE_WORDS: Final = {"mcp/invoke": "See the tools of the gateway and call them as you"}


def consent_page(
    powers: Powers,
    issuer: Issuer,
    request: Request,
    asked: AuthorizationRequest,
    *,
    client: Client,
    session: Session,
    user: UserRow,
) -> Response:
    """Return the consent page: who asks, for what, and where the code goes; bound to browser and login."""
    browser = browser_of(powers, issuer, request)
    parts = urlsplit(issuer.url)
    words = {**SCOPE_WORDS, **issuer.settings.scope_descriptions}
    context: dict[str, Any] = {
        "brand": issuer.title,
        "host": parts.netloc,
        "action": f"{parts.path}/consent",
        "flow": seal_consent(powers, issuer, asked, browser, session),
        "client": client.name,
        "verified": client.kind != "registered",
        "scopes": [{"name": scope, "words": words.get(scope, scope)} for scope in asked.scopes],
        "gateway": powers.resource_name(asked.resource),
        "resource": asked.resource,
        "destination": _destination(asked.redirect_uri),
        "destination_host": host_of(asked.redirect_uri),
        "user": user.display_name or user.name,
    }
    # No form-action: the answer of the form is a redirect to the client, which Chromium would hold against it.
    return bind(powers, issuer, powers.pages.render("consent.html", context), browser)


async def consent(powers: Powers, issuer: Issuer, request: Request) -> Response:
    """Take the person's decision to the client.

    Raises:
        Forbidden: the form is not ours, of another browser or login, too old, or was used already.
        OAuthError: client or redirect URI are no longer good; nobody is redirected.
        StorageUnavailable: nothing was granted.
    """
    refuse_cross_site(request, powers.public_url)
    parameters = await read_form(request)
    form = open_consent(powers, issuer, request, parameters.one("flow"))
    session = session_of(powers, issuer, request)
    if session is None or (session.id, session.subject) != (form.session, form.subject):
        raise Forbidden("You are no longer logged in as the person who was asked.")
    match parameters.one("decision"):
        case "switch":
            return _switch(powers, issuer, form.request)
        case "allow" | "deny" as decision:
            return await _answer(powers, issuer, form, session, allowed=decision == "allow")
        case _:
            raise InvalidRequest("The form was sent without a decision.")


async def _answer(powers: Powers, issuer: Issuer, form: ConsentForm, session: Session, *, allowed: bool) -> Response:
    asked, code = form.request, new_token(powers.random)
    try:
        async with powers.database.write(shared=True) as conn:
            client = await _asker(conn, powers, issuer, asked, session)
            try:
                if not allowed:
                    raise AccessDenied("The person said no.")
                _judge_again(powers, issuer, asked, client)
            except OAuthError as error:
                return see_other(error_url(asked.redirect_uri, error, state=asked.state, issuer=issuer.url))
            await _grant(conn, powers, issuer, form, client=client, code=code)
    except Conflict as error:
        raise Forbidden("This form was sent already.", detail="the grant exists") from error
    return see_other(success_url(asked, code, issuer.url))


async def _asker(
    conn: AsyncConnection, powers: Powers, issuer: Issuer, asked: AuthorizationRequest, session: Session
) -> Client:
    """Return the client if it, its redirect URI and the person still stand; much may have changed in ten minutes."""
    if await user_of(conn, issuer, session) is None:
        raise Forbidden("Your account was disabled or its password changed meanwhile.")
    client = await find_client(conn, powers.keyring, issuer.name, asked.client_id)
    if client is None:
        raise InvalidRequest("The application was removed meanwhile.")
    check_redirect(asked.redirect_uri, client, issuer.settings)
    return client


def _judge_again(powers: Powers, issuer: Issuer, asked: AuthorizationRequest, client: Client) -> None:
    judge_scopes(" ".join(asked.scopes), allowed=client.scopes or issuer.settings.scopes, default=())
    choose_resource((asked.resource,), default="", resources=powers.resources(issuer.url))


async def _grant(
    conn: AsyncConnection, powers: Powers, issuer: Issuer, form: ConsentForm, *, client: Client, code: str
) -> None:
    """Write grant and code. The grant's id came with the form, so one form makes one grant, on every replica."""
    asked, now = form.request, int(powers.clock())
    if client.kind == "registered":
        await clients.remember_registered(conn, remembered(client, issuer.name, now))
    await grants.add(
        conn,
        GrantRow(
            id=form.grant_id,
            issuer=issuer.name,
            subject=form.subject,
            client_id=client.id,
            scopes=asked.scopes,
            resource=asked.resource,
            created_at=now,
            expires_at=now + issuer.settings.refresh_absolute_seconds,
        ),
    )
    await authorization_codes.add(
        conn,
        AuthorizationCodeRow(
            code_hash=token_digest(code),
            issuer=issuer.name,
            grant_id=form.grant_id,
            client_id=client.id,
            redirect_uri=asked.redirect_uri,
            code_challenge=asked.code_challenge,
            scopes=asked.scopes,
            resource=asked.resource,
            nonce=asked.nonce,
            expires_at=now + CODE_SECONDS,
        ),
    )


def _switch(powers: Powers, issuer: Issuer, asked: AuthorizationRequest) -> Response:
    """Log out here and show the login page of the same request."""
    response = see_other(f"{urlsplit(issuer.url).path}/authorize?{urlencode(asked.parameters())}")
    powers.cookies.clear(response, "session", issuer.name)
    return response


def _destination(redirect_uri: str) -> str:
    match kind_of(redirect_uri):
        case "loopback":
            return "an application on this computer"
        case _ if redirect_uri.startswith("https:"):
            return f"the website {host_of(redirect_uri)}"
        case _:
            return "an application that this computer opens"
