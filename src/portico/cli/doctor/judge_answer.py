"""What any answer can have wrong, before its content matters. Pure."""

from typing import Any, Final, cast
from urllib.parse import urlsplit

from portico.cli.doctor.finding import FaultFound
from portico.cli.doctor.http import Answer, NoAnswer

MAX_QUOTED_CHARS: Final = 400  #: of a server's own words

_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
_SERVER_ERRORS: Final = range(500, 600)
_LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "::1"})


def arrived(reply: Answer | NoAnswer) -> Answer:
    """Return the answer.

    Raises:
        FaultFound: there is none, or the server itself failed.
    """
    if isinstance(reply, NoAnswer):
        raise FaultFound(reply.trouble, f"{reply.url}: {reply.text or 'no answer'}.")
    if reply.status in _SERVER_ERRORS:
        raise FaultFound("server_error", f"{reply.url} answers with HTTP {reply.status}{words(reply)}.")
    return reply


def refuse_redirect(answer: Answer) -> None:
    """Refuse an answer that sends the client elsewhere.

    Raises:
        FaultFound: it is a redirect.
    """
    if answer.status in _REDIRECTS:
        raise FaultFound("redirected", f"{answer.url} redirects ({answer.status}) to {answer.header('location')}.")


def is_page(answer: Answer) -> bool:
    """Tell whether the body is a web page."""
    return "html" in answer.content_type or answer.body.lstrip()[:1] == b"<"


def json_of(answer: Answer, what: str) -> dict[str, Any]:
    """Return the JSON object that ``answer`` holds.

    Raises:
        FaultFound: it is a page or something else.
    """
    document = answer.json()
    if document is None:
        kind = "a web page" if is_page(answer) else answer.content_type or "something without a type"
        raise FaultFound("html", f"{what} at {answer.url} is {kind}, not a JSON object.")
    return document


def words(answer: Answer) -> str:
    """Return what the server itself says is wrong, with a dash before it; empty when it says nothing."""
    code, description = error_of(answer)
    said = ": ".join(part for part in (code, description) if part)
    return f" - {said}" if said else ""


def error_of(answer: Answer) -> tuple[str, str]:
    """Return ``error`` and ``error_description`` of an answer (RFC 6749 section 5.2), or what stands in their place."""
    document = answer.json() or {}
    code = document.get("error")
    description = document.get("error_description") or document.get("message") or document.get("detail")
    if isinstance(code, dict):  # JSON-RPC
        return "", cut(str(cast("dict[str, Any]", code).get("message", "")))
    if not document and not is_page(answer):
        description = answer.text.strip()
    return (code if isinstance(code, str) else ""), cut(str(description or ""))


def cut(text: str) -> str:
    """Return ``text`` on one line, bounded."""
    line = " ".join(text.split())
    return line if len(line) <= MAX_QUOTED_CHARS else f"{line[:MAX_QUOTED_CHARS]}..."


def usable_url(value: object) -> bool:
    """Tell whether ``value`` is an endpoint that clients use: https, or http on loopback."""
    if not isinstance(value, str):
        return False
    try:
        parts = urlsplit(value)
        host = parts.hostname
    except ValueError:
        return False
    return bool(host) and (parts.scheme == "https" or (parts.scheme == "http" and host in _LOOPBACK))
