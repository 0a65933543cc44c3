"""Where a person who is not logged in begins: the password form, the choice of a provider, or consent at once."""

from urllib.parse import urlsplit

from starlette.requests import Request
from starlette.responses import Response

from portico.issuer.consent import provider_consent_page
from portico.issuer.flow import bind, browser_of, seal_login
from portico.issuer.powers import Powers
from portico.issuer.store import Issuer
from portico.oauth.authorize import AuthorizationRequest
from portico.oauth.client import Client
from portico.oauth.client_metadata import document_host


def entrance(
    powers: Powers, issuer: Issuer, request: Request, asked: AuthorizationRequest, client: Client, *, chosen: str
) -> Response:
    """Return the first page: with one provider and nothing else, or one that was ``chosen``, there is no choice.

    Raises:
        Forbidden: what was chosen is not offered.
    """
    connector = issuer.provider(chosen).settings if chosen else None
    if connector is None and not issuer.local and len(issuer.connectors) == 1:
        connector = issuer.connectors[0]
    if connector is not None:
        return provider_consent_page(powers, issuer, request, asked, client=client, connector=connector)
    return login_page(powers, issuer, request, asked, client)


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
    """Return the page with the password form, a button for each provider, or both.

    Its form is sealed and bound to this browser (login CSRF).
    """
    browser = browser_of(powers, issuer, request)
    parts = urlsplit(issuer.url)
    context = {
        "brand": issuer.title,
        "host": parts.netloc,
        "client": client.name,
        "client_host": document_host(client),
        "action": f"{parts.path}/login",
        "flow": seal_login(powers, issuer, asked, browser),
        "local": issuer.local,
        "connectors": [{"name": one.name, "title": one.title or one.name} for one in issuer.connectors],
        "problem": problem,
        "name": name,
    }
    response = powers.pages.render("login.html", context, status=status, form_action="'self'")
    return bind(powers, issuer, response, browser)
