"""Every state that a page of the issuer can be in, as the templates' contexts; the longest and oddest texts too."""

from dataclasses import dataclass, field
from typing import Any

from starlette.responses import Response

from portico.issuer.rendering import page_error
from portico.model.errors import (
    Conflict,
    FlowElsewhere,
    FlowExpired,
    FlowFinished,
    Forbidden,
    LimitExceeded,
    NotFound,
    PorticoError,
    StorageUnavailable,
)
from portico.model.oauth_errors import InvalidRedirectUri, InvalidRequest, ServerError, TemporarilyUnavailable
from portico.web.pages import Pages

HOST = "portico.example:8443"
LONG_NAME = "Extraordinarily Long Application Name That Somebody Registered To Break The Page"
UNBROKEN = "W" * 80
ARABIC = "تطبيق المحادثة الذكي للشركات الكبيرة"  # right to left
LONG_HOST = ".".join(["a" * 61] * 8)[:500]
BASE = {"brand": "Example Works", "host": HOST, "action": "/i/main/login", "flow": "v1.k1." + "s" * 900}

CONNECTORS = [{"name": "google", "title": "Google"}, {"name": "entra", "title": "Microsoft Entra ID"}]
LOGIN = {**BASE, "client": "Claude Code", "problem": "", "name": "", "connectors": [], "local": True}
CONSENT = {
    **BASE,
    "action": "/i/main/consent",
    "client": "Claude Code",
    "verified": False,
    "scopes": [
        {"name": "mcp/invoke", "words": "See the tools of the gateway and call them as you"},
        {"name": "calendar/read", "words": "Read your calendar"},
    ],
    "gateway": "Tools",
    "resource": "https://portico.example:8443/g/tools-ab12cd34ef/mcp",
    "destination": "an application on this computer",
    "destination_host": "127.0.0.1:53682",
    "user": "Ada Lovelace",
    "provider": "",
    "client_host": "",
    "loopback_only": False,
}
WEBSITE = {"destination": "the website claude.ai", "destination_host": "claude.ai"}
MONSTER = {
    "brand": UNBROKEN,
    "host": LONG_HOST,
    "client": UNBROKEN,
    "gateway": UNBROKEN,
    "resource": f"https://{LONG_HOST}/mcp",
    "scopes": [{"name": "x" * 200, "words": LONG_NAME * 3}, {"name": "y" * 200, "words": "y" * 200}],
    "destination": f"the website {LONG_HOST}",
    "destination_host": LONG_HOST,
    "user": UNBROKEN,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """One page in one state."""

    name: str
    template: str = ""
    error: PorticoError | None = None  #: rendered as the issuer does, in place of a template
    context: dict[str, Any] = field(repr=False)
    title: str  #: the document's, without the brand

    def answer(self) -> Response:
        """Return the page as the issuer answers it."""
        pages = Pages(["portico.issuer"])
        if self.error is not None:
            return page_error(pages, self.error, brand=self.context["brand"])
        return pages.render(self.template, self.context, form_action="'self'")


def _login(name: str, title: str = "Log in", /, **more: Any) -> State:
    return State(name=name, template="login.html", context={**LOGIN, **more}, title=title)


def _consent(name: str, /, **more: Any) -> State:
    return State(name=name, template="consent.html", context={**CONSENT, **more}, title="Allow access")


def _error(name: str, title: str, error: PorticoError) -> State:
    return State(name=f"error-{name}", error=error, context={"brand": BASE["brand"]}, title=f"Problem: {title}")


STATES = (
    _login("login"),
    _login(
        "login-wrong",
        "Problem: User name or password is wrong. \N{EN DASH} Log in",
        problem="User name or password is wrong.",
        name="ada",
    ),
    _login("login-providers", connectors=CONNECTORS),
    _login("picker", "Choose how to log in", connectors=CONNECTORS, local=False),
    _login(
        "login-long",
        brand=UNBROKEN,
        host=LONG_HOST,
        client=UNBROKEN,
        name=UNBROKEN,
        connectors=[{"name": "long", "title": UNBROKEN}, {"name": "longer", "title": LONG_NAME}],
    ),
    _login("login-rtl", brand=ARABIC, client=ARABIC, connectors=[{"name": "arabic", "title": ARABIC}]),
    _consent("consent-registered"),
    _consent("consent-declared", client="Copilot Studio", verified=True, **WEBSITE),
    _consent("consent-document", client="Claude", verified=False, client_host="claude.ai", **WEBSITE),
    _consent("consent-document-loopback", client="Claude", client_host="claude.ai", loopback_only=True),
    _consent("consent-provider", provider="Microsoft Entra ID", client_host="vscode.dev", client="Visual Studio Code"),
    _consent("consent-long", **MONSTER),
    _consent("consent-long-provider", **MONSTER, provider=UNBROKEN, client_host=LONG_HOST, loopback_only=True),
    _consent("consent-rtl", brand=ARABIC, client=ARABIC, gateway=ARABIC, user=ARABIC),
    _error("expired", "This took too long", FlowExpired("More than ten minutes passed since you began.")),
    _error("elsewhere", "This was begun in another browser", FlowElsewhere("This form was opened in another browser.")),
    _error("finished", "This was answered already", FlowFinished("This form was sent already.")),
    _error("forbidden", "This step cannot be finished", Forbidden("This form was sent by another site.")),
    _error("request", "This request cannot be served", InvalidRequest("The application is not known here.")),
    _error("redirect", "This request cannot be served", InvalidRedirectUri("The address is not allowed here.")),
    _error("provider", "The login provider cannot be used", ServerError("The identity provider gave no tokens.")),
    _error("provider-away", "The login provider cannot be used", TemporarilyUnavailable("It cannot be asked.")),
    _error("limit", "Too many attempts", LimitExceeded("Too many requests from your network.", retry_after=20)),
    _error("unavailable", "Not available right now", StorageUnavailable("The database cannot be reached.")),
    _error("not-found", "Nothing here", NotFound("There is no such issuer.")),
    _error("other", "This did not work", Conflict("It was changed by somebody else meanwhile.")),
    _error("long", "This request cannot be served", InvalidRequest(UNBROKEN * 4)),
    State(
        name="logout",
        template="logout.html",
        context={**BASE, "user": "Ada Lovelace", "destination_host": "app.example"},
        title="Log out",
    ),
    State(
        name="logged-out",
        template="logged_out.html",
        context={
            **BASE,
            "providers": [{"title": "Google", "url": "https://provider.example/logout"}],
        },
        title="Logged out",
    ),
    State(name="logged-out-plain", template="logged_out.html", context={**BASE, "providers": []}, title="Logged out"),
)
