"""Client tokens: what a request was answered that is sent again because its answer was lost."""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import delete as delete_from
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from portico.storage.rows import fetch_one, upsert, values_of
from portico.storage.schema import DEFAULT_ACCOUNT, client_tokens


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientTokenRow:
    """One row of ``client_tokens``. Times are seconds since the epoch."""

    operation: str
    token: str
    request_digest: str  #: SHA-256 hex of the request without its token
    response: dict[str, Any]
    expires_at: int
    account: str = DEFAULT_ACCOUNT


async def get(
    conn: AsyncConnection, operation: str, token: str, *, now: int, account: str = DEFAULT_ACCOUNT
) -> ClientTokenRow | None:
    """Return what was answered to a request with this token, unless that is over."""
    columns = client_tokens.c
    statement = select(client_tokens).where(
        columns.account == account, columns.operation == operation, columns.token == token, columns.expires_at > now
    )
    return await fetch_one(conn, statement, ClientTokenRow)


async def put(conn: AsyncConnection, row: ClientTokenRow) -> None:
    """Remember an answer, in the transaction of its change; one that is over is written over."""
    await conn.execute(upsert(conn, client_tokens, values_of(row), key=("account", "operation", "token")))


async def prune(conn: AsyncConnection, now: int) -> None:
    """Delete what is over."""
    await conn.execute(delete_from(client_tokens).where(client_tokens.c.expires_at <= now))
