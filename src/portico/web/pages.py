"""HTML pages: one layout, one style sheet, no script, strict headers."""

import base64
import hashlib
from collections.abc import Mapping, Sequence
from typing import Any, Final

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined
from starlette.responses import HTMLResponse, RedirectResponse, Response

#: On whatever our pages answer. No opener policy: web clients keep a handle on the window that they opened.
PAGE_HEADERS: Final[Mapping[str, str]] = {
    "cache-control": "no-store",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
}
STYLE_SHEET: Final = "style.css"


class Pages:
    """Renders the templates of ``web`` and of the packages that are named."""

    def __init__(self, packages: Sequence[str]) -> None:
        self._templates = Environment(
            loader=ChoiceLoader([PackageLoader(name, "templates") for name in ("portico.web", *packages)]),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._style = self._templates.get_template(STYLE_SHEET).render()
        digest = base64.b64encode(hashlib.sha256(self._style.encode()).digest()).decode()
        self._policy = (
            f"default-src 'none'; style-src 'sha256-{digest}'; img-src data:; base-uri 'none'; frame-ancestors 'none'"
        )

    def render(
        self, template: str, context: Mapping[str, Any], *, status: int = 200, form_action: str | None = None
    ) -> Response:
        """Return a page.

        ``form_action`` is what its forms may be sent to ("'self'", "'none'"); None leaves the directive out, for
        forms whose answer is a redirect to a client, as Chromium applies it to the redirect too.
        """
        policy = self._policy if form_action is None else f"{self._policy}; form-action {form_action}"
        body = self._templates.get_template(template).render(style=self._style, **context)
        return HTMLResponse(body, status_code=status, headers={**PAGE_HEADERS, "content-security-policy": policy})


def see_other(url: str) -> Response:
    """Redirect by 303, so that a posted form is never posted again elsewhere (RFC 9700 section 4.12)."""
    return RedirectResponse(url, status_code=303, headers=dict(PAGE_HEADERS))
