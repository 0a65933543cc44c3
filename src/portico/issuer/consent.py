"""The consent page, and ``POST /consent``: nobody gets a code, and nobody is sent to a provider, without it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlencode, urlsplit

from sqlalchemy.ext.asyncio import AsyncConnection
from starlette.requests import Request
from starlette.responses import Response

from portico.issuer.clients import find_client
from portico.issuer.faults import record
from portico.issuer.flow import ConsentForm, bind, browser_of, open_consent, seal_consent, seal_provider_consent
from portico.issuer.grants import Granted, write_grant
from portico.issuer.people import LoggedIn, session_of, user_of
from portico.issuer.powers import Powers
from portico.issuer.provider_login import find_asker, judge_again, to_provider
from portico.issuer.store import Issuer
from portico.model.errors import Conflict, FlowFinished, Forbidden
from portico.model.oauth_errors import AccessDenied, InvalidRequest, OAuthError
from portico.oauth.authorize import AuthorizationRequest, check_redirect, error_url, success_url
from portico.oauth.client import Client
from portico.oauth.client_metadata import document_host, is_unproven
from portico.oauth.connector_settings import ConnectorSettings
from portico.oauth.redirect_uri import host_of, kind_of
from portico.web.forms import read_form
from portico.web.pages import see_other
from portico.web.same_site import refuse_cross_site
from portico.web.sessions import Session, new_token

#: Scopes that need no explanation by the administrator.
SCOPE_WORDS: Final = {"mcp/invoke": "See the tools of the gateway and call them as you"}


@dataclass(frozen=True, slots=True)
class _Asking:
    """Who asks for what."""

    client: Client
    request: AuthorizationRequest


def consent_page(
    powers: Powers,
    issuer: Issuer,
    request: Request,
    asked: AuthorizationRequest,
    *,
    client: Client,
    person: LoggedIn,
) -> Response:
    """Return the consent page of a local user: who asks, for what, where the code goes; bound to browser and login."""
    browser = browser_of(powers, issuer, request)
    flow = seal_consent(powers, issuer, asked, browser, person.session)
    user = person.user.display_name or person.user.name
    return _page(powers, issuer, browser, _Asking(client, asked), {"flow": flow, "user": user})


def provider_consent_page(
    powers: Powers,
    issuer: Issuer,
    request: Request,
    asked: AuthorizationRequest,
    *,
    client: Client,
    connector: ConnectorSettings,
) -> Response:
    """Return the consent page of whoever is about to be sent to a provider: nobody is known yet."""
    browser = browser_of(powers, issuer, request)
    flow = seal_provider_consent(powers, issuer, asked, browser, connector.name)
    provider = connector.title or connector.name
    return _page(powers, issuer, browser, _Asking(client, asked), {"flow": flow, "provider": provider, "user": ""})


def _page(powers: Powers, issuer: Issuer, browser: str, asking: _Asking, person: Mapping[str, str]) -> Response:
    parts, client, asked = urlsplit(issuer.url), asking.client, asking.request
    words = {**SCOPE_WORDS, **issuer.settings.scope_descriptions}
    context: dict[str, Any] = {
        "brand": issuer.title,
        "host": parts.netloc,
        "action": f"{parts.path}/consent",
        "client": client.name,
        "client_host": document_host(client),
        "verified": not client.named_itself,
        "loopback_only": is_unproven(client, asked.redirect_uri),
        "scopes": [{"name": scope, "words": words.get(scope, scope)} for scope in asked.scopes],
        "gateway": powers.resource_name(asked.resource),
        "resource": asked.resource,
        "destination": _destination(asked.redirect_uri),
        "destination_host": host_of(asked.redirect_uri),
        **person,
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
    decision = parameters.one("decision")
    if decision not in {"allow", "deny", "switch"}:
        raise InvalidRequest("The form was sent without a decision.")
    if form.connector:
        return await _answer_before_login(powers, issuer, request, form, allowed=decision == "allow")
    session = session_of(powers, issuer, request)
    if session is None or (session.id, session.subject) != (form.session, form.subject):
        raise Forbidden("You are no longer logged in as the person who was asked.")
    if decision == "switch":
        return _switch(powers, issuer, form.request)
    return await _answer(powers, issuer, form, session, allowed=decision == "allow")


async def _answer_before_login(
    powers: Powers, issuer: Issuer, request: Request, form: ConsentForm, *, allowed: bool
) -> Response:
    """Take a person who allowed it to the provider, with whose answer the grant is made."""
    asked = form.request
    client = await find_asker(powers, issuer, asked)
    try:
        if not allowed:
            raise AccessDenied("The person said no.")
        judge_again(powers, issuer, asked, client)
        return await to_provider(powers, issuer, request, form)
    except OAuthError as error:
        record(request, issuer, error)
        return see_other(error_url(asked.redirect_uri, error, state=asked.state, issuer=issuer.url))


async def _answer(powers: Powers, issuer: Issuer, form: ConsentForm, session: Session, *, allowed: bool) -> Response:
    asked, code = form.request, new_token(powers.random)
    found = await find_asker(powers, issuer, asked)
    if powers.local is None:
        raise Forbidden("Nobody logs in with a password here.")
    try:
        async with powers.local.database.write(shared=True) as conn:
            client = await _still_asks(conn, powers, issuer, _Asking(found, asked), session)
            try:
                if not allowed:
                    raise AccessDenied("The person said no.")
                judge_again(powers, issuer, asked, client)
            except OAuthError as error:
                return see_other(error_url(asked.redirect_uri, error, state=asked.state, issuer=issuer.url))
            granted = Granted(grant_id=form.grant_id, subject=form.subject, request=asked, code=code)
            await write_grant(conn, issuer, client, granted, now=int(powers.clock()))
    except Conflict as error:
        raise FlowFinished("This form was sent already.", detail="the grant exists") from error
    return see_other(success_url(asked, code, issuer.url))


async def _still_asks(
    conn: AsyncConnection, powers: Powers, issuer: Issuer, asking: _Asking, session: Session
) -> Client:
    """Return the client if it and the person still stand inside the transaction that writes."""
    if await user_of(conn, issuer, session) is None:
        raise Forbidden("Your account was disabled or its password changed meanwhile.")
    document = asking.client if asking.client.kind == "document" else None
    client = await find_client(conn, powers.keyring, issuer, asking.client.id, document=document)
    if client is None:
        raise InvalidRequest("The application was removed meanwhile.")
    check_redirect(asking.request.redirect_uri, client, issuer.settings)
    return client


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
