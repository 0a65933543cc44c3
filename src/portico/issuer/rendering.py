"""Errors as the two surfaces of the issuer show them: OAuth's JSON, and pages for people."""

import math
from typing import Any, Final

from starlette.responses import JSONResponse, Response

from portico.model.errors import (
    FlowElsewhere,
    FlowExpired,
    FlowFinished,
    Forbidden,
    InputError,
    LimitExceeded,
    NotFound,
    PorticoError,
    Unavailable,
    UpstreamError,
)
from portico.model.oauth_errors import InvalidClient, OAuthError, ServerError, TemporarilyUnavailable
from portico.oauth.refusal import refusal
from portico.web.pages import Pages

RETRY_SECONDS: Final = 5  #: seconds; what Retry-After says when nothing better is known

#: RFC 6749 section 5.1; on every answer of the token endpoint, errors too.
NO_STORE: Final = {"cache-control": "no-store", "pragma": "no-cache"}

_AGAIN: Final = "Go back to the application and connect it again."
_ASK: Final = f"{_AGAIN} If that does not help, tell your administrator."
_LOOK: Final = "Look at the application: it may be connected. If it is not, go back there and connect it again."
_NEW: Final = "Remove the connection in the application and add it again; if that does not help, tell its maker."

#: What a page says above an error's sentence, and what the person can do now; the first that fits.
_WORDS: Final[tuple[tuple[type[PorticoError], str, str], ...]] = (
    (TemporarilyUnavailable, "The login provider cannot be used", _ASK),
    (ServerError, "The login provider cannot be used", _ASK),
    (UpstreamError, "The login provider cannot be used", _ASK),
    (Unavailable, "Not available right now", "Nothing was lost. Reload this page in a few seconds."),
    (LimitExceeded, "Too many attempts", "Wait a moment, then try again."),
    (NotFound, "Nothing here", _AGAIN),
    (FlowExpired, "This took too long", _AGAIN),
    (FlowElsewhere, "This was begun in another browser", f"{_AGAIN} Stay in one browser, with cookies allowed."),
    (FlowFinished, "This was answered already", _LOOK),
    (Forbidden, "This step cannot be finished", _AGAIN),
    (OAuthError, "This request cannot be served", _NEW),
    (InputError, "This request cannot be served", _NEW),
)


def json_answer(document: dict[str, Any], *, status: int = 200) -> Response:
    """Return an answer that nobody may store."""
    return JSONResponse(document, status_code=status, headers=NO_STORE)


def json_error(error: PorticoError) -> Response:
    """Render an error as RFC 6749 section 5.2 has it."""
    headers = {**NO_STORE, **_retry(error)}
    if isinstance(error, InvalidClient):
        headers["www-authenticate"] = 'Basic realm="portico", charset="UTF-8"'
    return JSONResponse(refusal(error, code=_oauth_code(error)), status_code=error.status, headers=headers)


def page_error(pages: Pages, error: PorticoError, *, brand: str) -> Response:
    """Render an error as a page that says what to do."""
    title, hint = _words(error)
    context = {"brand": brand, "title": title, "message": error.public, "hint": hint, "code": error.code}
    response = pages.render("error.html", context, status=error.status, form_action="'none'")
    response.headers.update(_retry(error))
    return response


def _oauth_code(error: PorticoError) -> str:
    """Return the code of an RFC for errors that have one of their own."""
    match error:
        case OAuthError():
            return error.code
        case Unavailable() | LimitExceeded():
            return "temporarily_unavailable"
        case Forbidden():
            return "access_denied"
        case _:
            return "invalid_request"


def _retry(error: PorticoError) -> dict[str, str]:
    match error:
        case LimitExceeded() if error.retry_after > 0:
            return {"retry-after": str(math.ceil(error.retry_after))}
        case Unavailable() | LimitExceeded():
            return {"retry-after": str(RETRY_SECONDS)}
        case _:
            return {}


def _words(error: PorticoError) -> tuple[str, str]:
    """Return the heading of an error's page, and what the person can do now."""
    return next(((title, hint) for kind, title, hint in _WORDS if isinstance(error, kind)), ("This did not work", _ASK))
