"""Every state that a page of the issuer can be in, as the templates' contexts; the longest and oddest texts too."""

from dataclasses import dataclass, field
from typing import Any

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
    template: str
    context: dict[str, Any] = field(repr=False)
    title: str  #: the document's, without the brand


def _login(name: str, title: str = "Log in", /, **more: Any) -> State:
    return State(name=name, template="login.html", context={**LOGIN, **more}, title=title)


def _consent(name: str, /, **more: Any) -> State:
    return State(name=name, template="consent.html", context={**CONSENT, **more}, title="Allow access")


def _error(name: str, title: str, message: str, hint: str, code: str) -> State:
    context = {"brand": BASE["brand"], "title": title, "message": message, "hint": hint, "code": code}
    return State(name=name, template="error.html", context=context, title=f"Problem: {title}")


STATES = (
    _login("login"),
    _login(
        "login-wrong",
        "Problem: User name or password is wrong.",
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
    _error(
        "error-expired",
        "This took too long",
        "More than ten minutes passed since you began.",
        "Go back to the application and connect it again.",
        "flow_expired",
    ),
    _error("error-short", "Nothing here", "There is no such issuer.", "", "not_found"),
    _error("error-long", LONG_NAME, UNBROKEN * 4, LONG_NAME, "x" * 60),
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
