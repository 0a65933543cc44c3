"""``/logout``: ends the login of this browser, asked and confirmed, and offers the providers' own logout.

An application may send people here (OpenID Connect RP-Initiated Logout 1.0) and have them sent back, but only to a
redirect URI of its own, only after a click, and never for a browser that has no login: who can register a client could
make a redirector of us otherwise (CWE-601). ``id_token_hint`` is not read, as no ID token is issued. Grants stay: what
a person allowed an application is taken back by revoking it, not by leaving.
"""

import asyncio
import hmac
from typing import Any, Final
from urllib.parse import urlencode, urlsplit

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from portico.issuer.flow import FLOW_SECONDS
from portico.issuer.people import person_of, session_of
from portico.issuer.powers import Powers
from portico.issuer.store import Issuer
from portico.model.errors import FlowExpired, Forbidden, PorticoError, SealError, StorageUnavailable
from portico.oauth.authorize import check_redirect, redirect_with, state_of
from portico.oauth.parameters import Parameters
from portico.oauth.redirect_uri import host_of
from portico.web.forms import read_form, read_query
from portico.web.pages import see_other
from portico.web.same_site import refuse_cross_site
from portico.web.sessions import Session

PURPOSE: Final = "logout-form"  #: of the seal; the issuer's URL is its associated data
PROVIDER_SECONDS: Final = 3.0  #: how long the page waits to learn where a provider's logout is

_ASKED: Final = ("client_id", "post_logout_redirect_uri", "state")


class LogoutForm(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """What the form holds: whose login ends, and where the person goes then."""

    session: str
    after: str  #: empty: nowhere
    issued_at: int


async def logout(powers: Powers, issuer: Issuer, request: Request) -> Response:
    """Ask whether to log out, or do it.

    Raises:
        Forbidden: the form is not ours, of another login, or too old.
        InvalidRequest: the parameters are malformed.
    """
    if request.method != "POST":
        return await _ask(powers, issuer, request, read_query(request))
    parameters = await read_form(request)
    sealed = parameters.one("flow")
    if not sealed:  # an application's own form; cookies come along only when the browser asks again
        asked = {name: parameters.one(name) for name in _ASKED}
        query = urlencode({name: value for name, value in asked.items() if value})
        return see_other(f"{urlsplit(issuer.url).path}/logout{'?' if query else ''}{query}")
    refuse_cross_site(request, powers.public_url)
    return await _end(powers, issuer, request, sealed)


async def _ask(powers: Powers, issuer: Issuer, request: Request, parameters: Parameters) -> Response:
    session = session_of(powers, issuer, request)
    if session is None:
        return await _logged_out(powers, issuer)
    after = await _after(powers, issuer, parameters)
    context = {
        **_frame(issuer),
        "action": f"{urlsplit(issuer.url).path}/logout",
        "flow": _seal(powers, issuer, session, after),
        "user": await _name(powers, issuer, request),
        "destination_host": host_of(after) if after else "",
    }
    # With somewhere to go no form-action: Chromium applies it to the redirect that answers the form.
    return powers.pages.render("logout.html", context, form_action=None if after else "'self'")


async def _end(powers: Powers, issuer: Issuer, request: Request, sealed: str) -> Response:
    form = _open(powers, issuer, sealed)
    session = session_of(powers, issuer, request)
    if session is None:
        return await _logged_out(powers, issuer)
    if not hmac.compare_digest(session.id.encode(), form.session.encode()):
        raise Forbidden("Somebody else logged in in this browser meanwhile.", detail="session")
    response = see_other(form.after) if form.after else await _logged_out(powers, issuer)
    powers.cookies.clear(response, "session", issuer.name)
    return response


async def _logged_out(powers: Powers, issuer: Issuer) -> Response:
    context = {**_frame(issuer), "providers": await _provider_links(issuer)}
    return powers.pages.render("logged_out.html", context, form_action="'none'")


async def _after(powers: Powers, issuer: Issuer, parameters: Parameters) -> str:
    """Return where an application wants the person back, empty when it may not: logging out goes on all the same."""
    uri, client_id = parameters.one("post_logout_redirect_uri"), parameters.one("client_id")
    if not uri or not client_id:
        return ""
    try:
        client = await powers.ledger.find_client(issuer, client_id)
        if client is None or uri not in client.redirect_uris:
            return ""
        check_redirect(uri, client, issuer.settings)
    except PorticoError:
        return ""
    state = state_of(parameters)
    return redirect_with(uri, {"state": state}) if state else uri


async def _name(powers: Powers, issuer: Issuer, request: Request) -> str:
    """Return who is logged in; nobody has to wait for the database to log out."""
    try:
        person = await person_of(powers, issuer, request)
    except StorageUnavailable:
        return ""
    return "" if person is None else person.user.display_name or person.user.name


async def _provider_links(issuer: Issuer) -> list[dict[str, str]]:
    """Return where the logins at the providers end; those that do not say so in time are left out."""
    titles = {one.name: one.title or one.name for one in issuer.connectors if one.name in issuer.providers}
    after = f"{issuer.url}/logout"

    async def link(name: str) -> str:
        try:
            async with asyncio.timeout(PROVIDER_SECONDS):
                return await issuer.providers[name].logout_url(after=after)
        except (TimeoutError, PorticoError):
            return ""

    async with asyncio.TaskGroup() as group:
        tasks = {name: group.create_task(link(name)) for name in titles}
    links = {name: task.result() for name, task in tasks.items()}
    return [
        {"title": titles[name], "url": url} for name, url in links.items() if url.startswith(("https://", "http://"))
    ]


def _frame(issuer: Issuer) -> dict[str, Any]:
    return {"brand": issuer.title, "host": urlsplit(issuer.url).netloc}


def _seal(powers: Powers, issuer: Issuer, session: Session, after: str) -> str:
    form = LogoutForm(session=session.id, after=after, issued_at=int(powers.clock()))
    return powers.keyring.seal(PURPOSE, msgspec.msgpack.encode(form), aad=issuer.url.encode(), random=powers.random)


def _open(powers: Powers, issuer: Issuer, sealed: str) -> LogoutForm:
    try:
        plaintext = powers.keyring.open(PURPOSE, sealed, aad=issuer.url.encode())
        form = msgspec.msgpack.decode(plaintext, type=LogoutForm)
    except (SealError, msgspec.DecodeError) as error:
        raise Forbidden("This form was not made here, or it was changed.", detail="seal") from error
    if powers.clock() > form.issued_at + FLOW_SECONDS:
        raise FlowExpired("More than ten minutes passed since you began.", detail="expired")
    return form
