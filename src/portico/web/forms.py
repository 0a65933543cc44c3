"""Reading what a form or an OAuth client posts: urlencoded, bounded, each parameter once."""

from typing import Final

from starlette.requests import Request

from portico.model.errors import UnsupportedMedia
from portico.model.oauth_errors import InvalidRequest
from portico.oauth.parameters import Parameters
from portico.web.asgi import media_type, read_body

MAX_FORM_BYTES: Final = 64 * 1024
MAX_QUERY_BYTES: Final = 16 * 1024


async def read_form(request: Request) -> Parameters:
    """Return the posted parameters.

    Raises:
        UnsupportedMedia: the body is not ``application/x-www-form-urlencoded``.
        TooLarge: it is over :data:`MAX_FORM_BYTES`.
        InvalidRequest: it is malformed, or parameters came in the query, where logs and histories keep them.
    """
    if media_type(request.scope) != b"application/x-www-form-urlencoded":
        raise UnsupportedMedia("Send the parameters as application/x-www-form-urlencoded.")
    if request.scope["query_string"]:
        raise InvalidRequest("Send the parameters in the body, not in the query.")
    return Parameters.parse(await read_body(request.receive, MAX_FORM_BYTES))


def read_query(request: Request) -> Parameters:
    """Return the parameters of the query.

    Raises:
        InvalidRequest: it is malformed or over :data:`MAX_QUERY_BYTES`.
    """
    query: bytes = request.scope["query_string"]
    if len(query) > MAX_QUERY_BYTES:
        raise InvalidRequest(f"The query is over {MAX_QUERY_BYTES} bytes.")
    return Parameters.parse(query)
