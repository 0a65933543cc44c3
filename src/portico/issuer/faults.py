"""What the log says of a refusal of which the caller is told little: a provider's own words, what is out of order.

Clients and people read our words only, and those send them to the administrator, who needs the others.
"""

import structlog
from starlette.requests import Request

from portico.issuer.store import Issuer
from portico.model.errors import PorticoError
from portico.model.oauth_errors import OAuthError
from portico.web.asgi import request_id

_OUT_OF_ORDER = 500

_log = structlog.stdlib.get_logger("portico.issuer")


def record(request: Request, issuer: Issuer | None, error: PorticoError) -> None:
    """Log an error unless it is the caller's own and told to them in full."""
    out_of_order = error.status >= _OUT_OF_ORDER
    if not out_of_order and not (isinstance(error, OAuthError) and error.detail):
        return
    say = _log.warning if out_of_order else _log.info
    say(
        "login_refused",
        request_id=request_id(request.scope),
        issuer="" if issuer is None else issuer.url,
        path=request.scope["path"],
        error=error.code,
        detail=str(error),
    )
