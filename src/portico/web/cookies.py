"""Cookies of our pages: ``__Host-`` over https, a plain name of our own on a laptop's http.

``__Host-`` keeps other hosts of the domain from planting a cookie (RFC 6265bis section 4.1.3.2). Browsers refuse it
over http, and cookies know no ports, so there the name is made unique per data directory instead.
"""

import re
from typing import Final, Literal
from urllib.parse import urlsplit

from starlette.requests import Request
from starlette.responses import Response

MAX_COOKIE_HEADER_CHARS: Final = 16 * 1024

CookieKind = Literal["browser", "session", "flow"]
_SCOPE = re.compile(r"[A-Za-z0-9_-]{1,128}\Z", re.ASCII)


class Cookies:
    """Names, reads, sets and clears the cookies of one Portico."""

    def __init__(self, public_url: str, suffix: str) -> None:
        """Take the public URL, whose scheme decides, and a ``suffix`` that is unique per data directory."""
        self._secure = urlsplit(public_url).scheme == "https"
        self._suffix = suffix

    def name(self, kind: CookieKind, scope: str) -> str:
        """Return the name of a cookie; ``scope`` is the issuer that it belongs to."""
        return f"__Host-portico-{scope}-{kind}" if self._secure else f"portico-{self._suffix}-{scope}-{kind}"

    def read(self, request: Request, kind: CookieKind, scope: str) -> str:
        """Return the value of a cookie, empty when it was not sent, or sent twice: then somebody planted one."""
        if not _SCOPE.match(scope):
            return ""
        name = self.name(kind, scope)
        found = [value for key, value in _pairs(request) if key == name]
        return found[0] if len(found) == 1 else ""

    def scopes(self, request: Request, kind: CookieKind, scope: str) -> list[str]:
        """Return the scopes below ``scope`` (``scope-…``) of the cookies of a kind that were sent, in order."""
        before, after = self.name(kind, "\0").split("\0")
        names = [name for name, _ in _pairs(request) if name.startswith(f"{before}{scope}-") and name.endswith(after)]
        return [name.removeprefix(before).removesuffix(after) for name in dict.fromkeys(names)]

    def set(self, response: Response, kind: CookieKind, scope: str, value: str, *, seconds: int | None = None) -> None:
        """Set a cookie, for ``seconds`` or as long as the browser runs.

        Lax: applications and providers send people here from other sites.
        """
        response.set_cookie(
            self.name(kind, scope),
            value,
            max_age=seconds,
            path="/",
            secure=self._secure,
            httponly=True,
            samesite="lax",
        )

    def clear(self, response: Response, kind: CookieKind, scope: str) -> None:
        """Remove a cookie."""
        response.delete_cookie(self.name(kind, scope), path="/", secure=self._secure, httponly=True, samesite="lax")


def _pairs(request: Request) -> list[tuple[str, str]]:
    header = "; ".join(request.headers.getlist("cookie"))
    if len(header) > MAX_COOKIE_HEADER_CHARS:
        return []
    parts = (part.strip().partition("=") for part in header.split(";"))
    return [(name, value) for name, _, value in parts]
