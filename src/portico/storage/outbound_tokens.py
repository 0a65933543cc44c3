"""Tokens that were fetched with client credentials, sealed, and the lease under which exactly one process fetches."""

from dataclasses import dataclass

from sqlalchemy import delete as delete_from
from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from portico.storage.rows import affects, fetch_one, insertion
from portico.storage.schema import DEFAULT_ACCOUNT, outbound_tokens

MAX_ERROR_CHARS = 2000  #: of ``last_error``


@dataclass(frozen=True, slots=True, kw_only=True)
class OutboundTokenRow:
    """One row of ``outbound_tokens``. Times are seconds since the epoch, with fractions."""

    key: str  #: SHA-256 hex of what the token depends on: provider, scopes, resource...
    provider: str
    sealed: str = ""  #: empty: none was fetched yet, or it was forgotten
    expires_at: float = 0.0
    refresh_at: float = 0.0
    lease_owner: str = ""
    leased_until: float = 0.0
    last_error: str = ""
    account: str = DEFAULT_ACCOUNT


async def get(conn: AsyncConnection, key: str, *, account: str = DEFAULT_ACCOUNT) -> OutboundTokenRow | None:
    """Return one token."""
    return await fetch_one(conn, select(outbound_tokens).where(_is(account, key)), OutboundTokenRow)


async def lease(
    conn: AsyncConnection,
    key: str,
    *,
    provider: str,
    owner: str,
    now: float,
    lease_seconds: float,
    account: str = DEFAULT_ACCOUNT,
) -> OutboundTokenRow | None:
    """Take the lease and return the row as it is, made when it was missing; None while somebody else holds it."""
    first = {"account": account, "key": key, "provider": provider}
    await conn.execute(
        insertion(conn, outbound_tokens).values(first).on_conflict_do_nothing(index_elements=["account", "key"])
    )
    statement = (
        update(outbound_tokens)
        .where(_is(account, key), outbound_tokens.c.leased_until <= now)
        .values(lease_owner=owner, leased_until=now + lease_seconds)
    )
    return await get(conn, key, account=account) if await affects(conn, statement) else None


async def store(conn: AsyncConnection, row: OutboundTokenRow) -> bool:
    """Write a fetched token and give the lease back; False when the lease of ``row`` was lost."""
    values = {"sealed": row.sealed, "expires_at": row.expires_at, "refresh_at": row.refresh_at, "last_error": ""}
    return await affects(conn, _held(row).values(values | {"lease_owner": "", "leased_until": 0.0}))


async def release(conn: AsyncConnection, row: OutboundTokenRow, *, error: str = "", forget: bool = False) -> bool:
    """Give the lease back after a failure; with ``forget`` the token goes too. False when the lease was lost."""
    values = {"lease_owner": "", "leased_until": 0.0, "last_error": error[:MAX_ERROR_CHARS]}
    gone = {"sealed": "", "expires_at": 0.0, "refresh_at": 0.0} if forget else {}
    return await affects(conn, _held(row).values(values | gone))


async def forget(conn: AsyncConnection, key: str, sealed: str, *, account: str = DEFAULT_ACCOUNT) -> bool:
    """Forget a token, unless another one was stored meanwhile; says whether it was this one."""
    statement = update(outbound_tokens).where(_is(account, key), outbound_tokens.c.sealed == sealed)
    return await affects(conn, statement.values(sealed="", expires_at=0.0, refresh_at=0.0))


async def forget_provider(conn: AsyncConnection, provider: str, *, account: str = DEFAULT_ACCOUNT) -> None:
    """Delete every token of a provider: it was changed or deleted. A fetch under way loses its lease."""
    mine = (outbound_tokens.c.account == account) & (outbound_tokens.c.provider == provider)
    await conn.execute(delete_from(outbound_tokens).where(mine))


async def prune(conn: AsyncConnection, before: float) -> None:
    """Delete tokens that were over before a time and that nobody is fetching."""
    columns = outbound_tokens.c
    await conn.execute(delete_from(outbound_tokens).where(columns.expires_at < before, columns.leased_until < before))


def _is(account: str, key: str):  # noqa: ANN202 - SQLAlchemy's expression type is generic over its parts
    return (outbound_tokens.c.account == account) & (outbound_tokens.c.key == key)


def _held(row: OutboundTokenRow):  # noqa: ANN202 - see above
    return update(outbound_tokens).where(
        _is(row.account, row.key),
        outbound_tokens.c.lease_owner == row.lease_owner,
        outbound_tokens.c.leased_until == row.leased_until,
    )
