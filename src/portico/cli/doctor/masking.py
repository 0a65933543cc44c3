"""What is shown of what was sent and answered: without secrets. Pure.

Two nets: by the name of a header, parameter or member, and by value — every secret that the walk learns is remembered
and replaced wherever a server repeats it.
"""

import json
import re
from collections.abc import Sequence
from typing import Any, Final, cast
from urllib.parse import quote, quote_plus, urlsplit

from portico.telemetry.redaction import redact_text

STARS: Final = "********"
MAX_SHOWN_CHARS: Final = 2_000  #: of one body
MAX_DEPTH: Final = 12  #: levels of a JSON body that are shown
MIN_REMEMBERED_CHARS: Final = 4  #: shorter values would blank out ordinary text

_SECRET_MEMBERS: Final = frozenset(
    {
        *(
            "access_token",
            "refresh_token",
            "id_token",
            "token",
            "code",
            "code_verifier",
            "client_secret",
            "state",
            "nonce",
        ),
        *("assertion", "client_assertion", "registration_access_token", "password", "subject_token", "actor_token"),
    }
)
_SECRET_PARAMETER = re.compile(
    rf"(\A|[?&#])({'|'.join(sorted(_SECRET_MEMBERS, key=len, reverse=True))})=[^&#\s]+", re.IGNORECASE
)
_SECRET_HEADERS: Final = frozenset({"authorization", "proxy-authorization", "cookie", "mcp-session-id"})
_TITLE = re.compile(r"<title[^>]{0,200}>([^<]{0,200})", re.IGNORECASE)
_OAUTH_CODE = re.compile(r"-?[0-9]{1,6}|[a-z]{1,24}(_[a-z]{1,24}){0,4}\Z")  # an error's code is no secret

Headers = Sequence[tuple[str, str]]


class Masker:
    """Knows the secrets of one walk."""

    def __init__(self) -> None:
        self._known: dict[str, None] = {}

    def remember(self, *secrets: str) -> None:
        """Hide ``secrets`` wherever they appear from now on."""
        for secret in secrets:
            if len(secret) >= MIN_REMEMBERED_CHARS:
                self._known |= dict.fromkeys((secret, quote(secret, safe=""), quote_plus(secret)))

    def text(self, text: str) -> str:
        """Return ``text`` without the secrets that are known, the longest first: one may hold another."""
        for secret in sorted(self._known, key=len, reverse=True):
            text = text.replace(secret, STARS)
        return text

    def headers(self, headers: Headers) -> list[tuple[str, str]]:
        """Return headers as they may be shown; of cookies the names stay."""
        return [(name, self.text(_header(name.lower(), value))) for name, value in headers]

    def url(self, url: str) -> str:
        """Return a URL whose secret parameters, in query or fragment, are stars."""
        return self.text(_without_userinfo(_parameters(url)))

    def body(self, content_type: str, body: bytes) -> str:
        """Return a body as it may be shown: JSON and forms by member, of a page the title, all cut."""
        if not body:
            return ""
        text = body.decode("utf-8", "replace")
        if "x-www-form-urlencoded" in content_type:
            shown = _parameters(text)
        elif "html" in content_type or text.lstrip()[:1] == "<":
            title = _TITLE.search(text)
            shown = f"(a page of {len(body)} bytes{f', titled {title[1].strip()!r}' if title else ''})"
        else:
            shown = _json(text)
        shown = self.text(shown)
        return shown if len(shown) <= MAX_SHOWN_CHARS else f"{shown[:MAX_SHOWN_CHARS]}... ({len(body)} bytes)"


def _header(name: str, value: str) -> str:
    if name in {"cookie", "set-cookie"}:
        pairs = value.split(";") if name == "cookie" else [value]
        return "; ".join(f"{pair.partition('=')[0].strip()}={STARS}" for pair in pairs)
    if name in {"authorization", "proxy-authorization"}:
        return f"{value.partition(' ')[0]} {STARS}"
    if name in _SECRET_HEADERS:
        return STARS
    return _parameters(value) if name == "location" else value


def _parameters(text: str) -> str:
    return _SECRET_PARAMETER.sub(rf"\1\2={STARS}", text)


def _without_userinfo(url: str) -> str:
    try:
        parts = urlsplit(url)
    except ValueError:
        return url
    return url.replace(f"{parts.netloc.rpartition('@')[0]}@", f"{STARS}@", 1) if "@" in parts.netloc else url


def _json(text: str) -> str:
    try:
        value: object = json.loads(text)
    except (ValueError, RecursionError):
        return redact_text(text)
    return json.dumps(_members(value, MAX_DEPTH), ensure_ascii=False)


def _members(value: object, depth: int) -> Any:
    if depth == 0:
        return "..."
    if isinstance(value, dict):
        members = cast("dict[str, object]", value)
        return {name: _member(name, item, depth - 1) for name, item in members.items()}
    if isinstance(value, list):
        return [_members(item, depth - 1) for item in cast("list[object]", value)]
    return value


def _member(name: str, value: object, depth: int) -> Any:
    if name.lower() not in _SECRET_MEMBERS or not isinstance(value, str | int) or not value:
        return _members(value, depth)
    return value if name == "code" and _OAUTH_CODE.match(str(value)) else STARS
