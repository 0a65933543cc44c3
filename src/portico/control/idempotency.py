"""Client tokens: a request that is sent again because its answer was lost is answered as the first one was.

The answer is stored with the change itself, so that a token never names a change that was not made. AWS: "If this
token matches a previous request, the service ignores the request, but doesn't return an error"; the same token with
other parameters is an ``IdempotentParameterMismatchException`` in its list of reasons.
"""

import hashlib
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

import msgspec

from portico.control.transaction import Transaction
from portico.model.errors import Fault, ParameterMismatch
from portico.storage import client_tokens
from portico.storage.client_tokens import ClientTokenRow

TOKEN: Final = "clientToken"  # noqa: S105 - the member's name
REMEMBERED_SECONDS: Final = 24 * 3600  #: that a token is known; AWS does not publish its own (AWS-unverified)


async def once(
    tx: Transaction,
    operation: str,
    request: Mapping[str, Any],
    change: Callable[[], Awaitable[dict[str, Any]]],
) -> dict[str, Any]:
    """Make a change and return its answer, or the answer that a request with the same token got.

    Raises:
        ParameterMismatch: the token was used with another request.
    """
    token: str | None = request.get(TOKEN)
    if token is None:
        return await change()
    digest = _digest(request)
    known = await client_tokens.get(tx.conn, operation, token, now=tx.now, account=tx.account)
    if known is None:
        answer = await change()
        row = ClientTokenRow(
            operation=operation,
            token=token,
            request_digest=digest,
            response=answer,
            expires_at=tx.now + REMEMBERED_SECONDS,
            account=tx.account,
        )
        await client_tokens.put(tx.conn, row)
        return answer
    if known.request_digest != digest:
        message = "was used with other parameters; make a new one for a new request"
        raise ParameterMismatch([Fault(path=TOKEN, message=message)])
    return known.response


def _digest(request: Mapping[str, Any]) -> str:
    content = {name: value for name, value in request.items() if name != TOKEN}
    return hashlib.sha256(msgspec.json.encode(content, order="deterministic")).hexdigest()
