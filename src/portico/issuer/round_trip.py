"""A flow that is at a provider: sealed into a cookie of the browser that consented, found by its random ``state``.

Nothing but the random value travels to the provider. The cookie is set with the redirect after consent and never
before (MCP security best practices, "confused deputy"), holds for ten minutes, and goes with the answer: a callback
that was captured elsewhere finds no cookie (CVE-2026-27124).
"""

import hmac
import re
from collections.abc import Iterable
from typing import Final

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from portico.issuer.flow import FLOW_SECONDS
from portico.issuer.powers import Powers
from portico.issuer.store import Issuer
from portico.issuer.transaction import Transaction
from portico.model.errors import FlowElsewhere, FlowExpired, FlowFinished, Forbidden, SealError
from portico.model.oauth_errors import InvalidRequest

PURPOSE: Final = "provider-transaction"  #: of the seal; the issuer's URL is its associated data
MAX_COOKIE_CHARS: Final = 3600  #: name, value and attributes must stay under the 4,096 bytes of RFC 6265 section 6.1
MAX_AT_ONCE: Final = 3  #: flows of one browser that are at a provider; the cookies of others make room
KEY_CHARS: Final = 12  #: of ``state`` in the cookie's name; the whole of it is inside

_STATE = re.compile(r"[A-Za-z0-9_-]{43}\Z", re.ASCII)


def carry(powers: Powers, issuer: Issuer, request: Request, response: Response, transaction: Transaction) -> Response:
    """Set the transaction's cookie on the redirect to the provider.

    Raises:
        InvalidRequest: the client's parameters are too long together.
    """
    value = powers.keyring.seal(
        PURPOSE, msgspec.msgpack.encode(transaction), aad=issuer.url.encode(), random=powers.random
    )
    if len(value) > MAX_COOKIE_CHARS:
        raise InvalidRequest("state, client_id and redirect_uri are too long together; send a shorter state.")
    for key in _crowd(powers.cookies.scopes(request, "flow", issuer.name)):
        powers.cookies.clear(response, "flow", key)
    powers.cookies.set(response, "flow", _scope(issuer, transaction.state), value, seconds=FLOW_SECONDS)
    return response


def recall(powers: Powers, issuer: Issuer, request: Request, state: str) -> Transaction:
    """Return the transaction that a callback belongs to.

    Raises:
        Forbidden: no ``state``, another browser's, an old one, or one that was finished already.
    """
    value = powers.cookies.read(request, "flow", _scope(issuer, state)) if _STATE.match(state) else ""
    if not value:
        if powers.cookies.read(request, "browser", issuer.name):  # gone back, or sent here by somebody else's flow
            raise FlowFinished("This login was finished already, or begun in another browser.", detail="no cookie")
        raise FlowElsewhere("This login was begun in another browser, or cookies are blocked.", detail="no cookie")
    try:
        plaintext = powers.keyring.open(PURPOSE, value, aad=issuer.url.encode())
        transaction = msgspec.msgpack.decode(plaintext, type=Transaction)
    except (SealError, msgspec.DecodeError) as error:
        raise Forbidden("This login was not begun here, or it was changed.", detail="seal") from error
    if not hmac.compare_digest(transaction.state.encode(), state.encode()):
        raise Forbidden("This login was not begun here, or it was changed.", detail="state")
    if powers.clock() > transaction.issued_at + FLOW_SECONDS:
        raise FlowExpired("More than ten minutes passed since you began.", detail="expired")
    return transaction


def forget(powers: Powers, issuer: Issuer, response: Response, state: str) -> Response:
    """Take the cookie away with the answer to the callback, whatever it says: a flow ends once."""
    if _STATE.match(state):
        powers.cookies.clear(response, "flow", _scope(issuer, state))
    return response


def _scope(issuer: Issuer, state: str) -> str:
    return f"{issuer.name}-{state[:KEY_CHARS]}"


def _crowd(scopes: Iterable[str]) -> list[str]:
    """Return the scopes of the cookies that must make room for one more: browsers send the oldest first (RFC 6265)."""
    return list(scopes)[: -(MAX_AT_ONCE - 1)]
