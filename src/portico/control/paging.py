"""Pages of lists: a ``nextToken`` names the last thing that was shown, sealed, so that it is ours and of this list.

What is made or deleted while somebody turns pages is shown or not; nothing else is shown twice or left out.
"""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, TypeVar

from portico.control.operations.context import OperationContext
from portico.model.errors import Fault, InvalidInput, SealError

PURPOSE: Final = "page-token"
DEFAULT_PAGE: Final = 100  #: entries where ``maxResults`` is left out; AWS does not publish its own (AWS-unverified)

R = TypeVar("R")


async def read_page(
    context: OperationContext,
    request: Mapping[str, Any],
    *,
    listing: str,
    fetch: Callable[[str, int], Awaitable[list[R]]],
    key: Callable[[R], str],
    default: int = DEFAULT_PAGE,
) -> tuple[list[R], dict[str, str]]:
    """Return one page of ``listing`` and the member ``nextToken`` of the answer, if there is more.

    ``fetch`` is given the key to begin after (empty: at the beginning) and how many rows are wanted, in order of
    ``key``.

    Raises:
        InvalidInput: ``nextToken`` was not made for this list.
    """
    limit: int = request.get("maxResults") or default
    rows = await fetch(_start(context, request, listing), limit + 1)
    if len(rows) <= limit:
        return rows, {}
    shown = rows[:limit]
    token = context.keyring.seal(PURPOSE, key(shown[-1]).encode(), aad=_aad(context, listing), random=context.random)
    return shown, {"nextToken": token}


def _start(context: OperationContext, request: Mapping[str, Any], listing: str) -> str:
    token: str | None = request.get("nextToken")
    if token is None:
        return ""
    try:
        return context.keyring.open(PURPOSE, token, aad=_aad(context, listing)).decode()
    except SealError as error:
        message = "was not issued for this list, or is too old; begin again without it"
        raise InvalidInput([Fault(path="nextToken", message=message)]) from error


def _aad(context: OperationContext, listing: str) -> bytes:
    return f"{context.account}|{listing}".encode()
