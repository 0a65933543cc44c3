"""``POST /login``: a local user proves a password, or a person chooses a provider."""

from typing import Final
from urllib.parse import urlencode, urlsplit

from starlette.requests import Request
from starlette.responses import Response

from portico.issuer.entrance import login_page
from portico.issuer.flow import open_login
from portico.issuer.people import address_of
from portico.issuer.powers import Local, Powers
from portico.issuer.store import Issuer
from portico.model.errors import Forbidden, LimitExceeded, StorageUnavailable
from portico.model.oauth_errors import InvalidRequest
from portico.oauth.authorize import AuthorizationRequest
from portico.storage import users
from portico.storage.users import UserRow
from portico.web.forms import read_form
from portico.web.pages import see_other
from portico.web.same_site import refuse_cross_site

MAX_PASSWORD_CHARS: Final = 1024

_WRONG: Final = "User name or password is wrong."


async def login(powers: Powers, issuer: Issuer, request: Request) -> Response:
    """Check name and password, begin a session, and go back to the authorization request; or ask for consent.

    Unknown, disabled and locked accounts look alike in text, status and time. With a provider the consent page comes
    before anybody is sent there (MCP security best practices, "confused deputy").

    Raises:
        Forbidden: the form is not ours, of another browser, or too old.
        StorageUnavailable: users cannot be read.
    """
    refuse_cross_site(request, powers.public_url)
    form = await read_form(request)
    asked = open_login(powers, issuer, request, form.one("flow"))
    client = await powers.ledger.find_client(issuer, asked.client_id)
    if client is None:
        raise InvalidRequest("The application was removed meanwhile.")
    chosen = form.one("connector")
    if chosen:
        return see_other(_with_connector(issuer, asked, issuer.provider(chosen).settings.name))
    if powers.local is None or not issuer.local:
        raise Forbidden("Nobody logs in with a password here.")
    name, password = form.one("name").strip(), form.one("password")
    try:
        proven = await _prove(powers, powers.local, issuer, name, password, address=address_of(request))
    except LimitExceeded as error:
        response = login_page(
            powers, issuer, request, asked, client, problem=error.public, name=name, status=error.status
        )
        response.headers["retry-after"] = str(max(1, round(error.retry_after)))
        return response
    if proven is None:
        return login_page(powers, issuer, request, asked, client, problem=_WRONG, name=name, status=403)
    response = see_other(f"{urlsplit(issuer.url).path}/authorize?{urlencode(asked.parameters())}")
    value = powers.sessions.begin(issuer.url, proven.subject, powers.clock())
    powers.cookies.set(response, "session", issuer.name, value)
    return response


def _with_connector(issuer: Issuer, asked: AuthorizationRequest, connector: str) -> str:
    """Return the address of the consent page: one that the browser's "back" finds again, as a form's answer is not."""
    parameters = {**asked.parameters(), "connector": connector, **({"prompt": "login"} if asked.login else {})}
    return f"{urlsplit(issuer.url).path}/authorize?{urlencode(parameters)}"


async def _prove(
    powers: Powers, local: Local, issuer: Issuer, name: str, password: str, *, address: str
) -> UserRow | None:
    wait = local.throttle.attempt(issuer.name, name, address, powers.clock())
    if wait > 0:
        raise LimitExceeded("Too many attempts. Wait a little, then try again.", retry_after=wait)
    try:
        async with local.database.read() as conn:
            user = await users.by_name(conn, issuer.name, name)
        stored = user.password_hash or None if user is not None and len(password) <= MAX_PASSWORD_CHARS else None
        fits = await local.passwords.verify(stored, password[:MAX_PASSWORD_CHARS], address=address)
    except (LimitExceeded, StorageUnavailable):  # the password was not looked at
        local.throttle.untried(issuer.name, name, address)
        raise
    if user is None or not fits or user.disabled_at is not None:
        return None
    local.throttle.succeeded(issuer.name, name, address)
    return user
