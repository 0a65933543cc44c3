"""The login page of local users, and ``POST /login``."""

from typing import Final
from urllib.parse import urlencode, urlsplit

from starlette.requests import Request
from starlette.responses import Response

from portico.issuer.clients import find_client
from portico.issuer.flow import bind, browser_of, open_login, seal_login
from portico.issuer.people import address_of
from portico.issuer.powers import Powers
from portico.issuer.store import Issuer
from portico.model.errors import InvalidRequest, LimitExceeded
from portico.oauth.authorize import AuthorizationRequest
from portico.oauth.client import Client
from portico.storage import users
from portico.storage.users import UserRow
from portico.web.forms import read_form
from portico.web.pages import see_other
from portico.web.same_site import refuse_cross_site

MAX_PASSWORD_CHARS: Final = 1024

_WRONG: Final = "User name or password is wrong."


def login_page(
    powers: Powers,
    issuer: Issuer,
    request: Request,
    asked: AuthorizationRequest,
    client: Client,
    *,
    problem: str = "",
    name: str = "",
    status: int = 200,
) -> Response:
    """Return the login page; its form is sealed and bound to this browser (login CSRF)."""
    browser = browser_of(powers, issuer, request)
    parts = urlsplit(issuer.url)
    context = {
        "brand": issuer.title,
        "host": parts.netloc,
        "client": client.name,
        "action": f"{parts.path}/login",
        "flow": seal_login(powers, issuer, asked, browser),
        "problem": problem,
        "name": name,
    }
    response = powers.pages.render("login.html", context, status=status, form_action="'self'")
    return bind(powers, issuer, response, browser)


async def login(powers: Powers, issuer: Issuer, request: Request) -> Response:
    """Check name and password, begin a session, and go back to the authorization request.

    Unknown, disabled and locked accounts look alike in text, status and time.

    Raises:
        Forbidden: the form is not ours, of another browser, or too old.
        StorageUnavailable: users cannot be read.
    """
    refuse_cross_site(request, powers.public_url)
    form = await read_form(request)
    asked = open_login(powers, issuer, request, form.one("flow"))
    name, password = form.one("name").strip(), form.one("password")
    async with powers.database.read() as conn:
        client = await find_client(conn, powers.keyring, issuer.name, asked.client_id)
        user = await users.by_name(conn, issuer.name, name)
    if client is None:
        raise InvalidRequest("The application was removed meanwhile.")
    try:
        proven = await _prove(powers, issuer, user, name=name, password=password, address=address_of(request))
    except LimitExceeded as error:
        response = login_page(
            powers, issuer, request, asked, client, problem=error.public, name=name, status=error.status
        )
        response.headers["retry-after"] = str(max(1, round(error.retry_after)))
        return response
    if proven is None:
        return login_page(powers, issuer, request, asked, client, problem=_WRONG, name=name, status=403)
    response = see_other(f"{urlsplit(issuer.url).path}/authorize?{urlencode(asked.parameters())}")
    value = powers.sessions.begin(issuer.name, proven.subject, powers.clock())
    powers.cookies.set(response, "session", issuer.name, value)
    return response


async def _prove(
    powers: Powers, issuer: Issuer, user: UserRow | None, *, name: str, password: str, address: str
) -> UserRow | None:
    wait = powers.login_throttle.attempt(issuer.name, name, address, powers.clock())
    if wait > 0:
        raise LimitExceeded("Too many attempts. Wait a little, then try again.", retry_after=wait)
    stored = user.password_hash if user is not None and len(password) <= MAX_PASSWORD_CHARS else None
    fits = await powers.passwords.verify(stored, password[:MAX_PASSWORD_CHARS])
    if user is None or not fits or user.disabled_at is not None:
        return None
    powers.login_throttle.succeeded(issuer.name, name, address)
    return user
