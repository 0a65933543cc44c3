"""Errors as the two surfaces of the issuer show them: OAuth's JSON, and pages for people."""

import math
from typing import Any, Final

from starlette.responses import JSONResponse, Response

from portico.model.errors import (
    Forbidden,
    InputError,
    InvalidClient,
    LimitExceeded,
    NotFound,
    OAuthError,
    PorticoError,
    Unavailable,
)
from portico.oauth.refusal import refusal
from portico.web.pages import Pages

RETRY_SECONDS: Final = 5  #: seconds; what Retry-After says when nothing better is known

#: RFC 6749 section 5.1; on every answer of the token endpoint, errors too.
NO_STORE: Final = {"cache-control": "no-store", "pragma": "no-cache"}


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
    match error:
        case Unavailable():
            return "Not available right now", "Nothing was lost. Reload this page in a few seconds."
        case LimitExceeded():
            return "Too many attempts", "Wait a moment, then try again."
        case NotFound():
            return "Nothing here", ""
        case Forbidden():
            return "This step cannot be finished", "Go back to the application and connect it again."
        case OAuthError() | InputError():
            return (
                "This request cannot be served",
                "Remove the connection in the application and add it again; if that does not help, tell its maker.",
            )
        case _:
            return "This did not work", ""
