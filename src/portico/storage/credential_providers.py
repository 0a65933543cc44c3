"""Credential providers: where outbound credentials come from. Their secrets are sealed before they come here."""

from dataclasses import dataclass
from dataclasses import replace as changed
from typing import Any, Literal

from sqlalchemy import delete as delete_from
from sqlalchemy import func, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from portico.model.errors import Conflict
from portico.storage.rows import affects, fetch_all, fetch_one, insert_row, values_of
from portico.storage.schema import DEFAULT_ACCOUNT, credential_providers

ProviderKind = Literal["oauth2", "api_key"]


@dataclass(frozen=True, slots=True, kw_only=True)
class CredentialProviderRow:
    """One row of ``credential_providers``. Times are seconds since the epoch."""

    kind: ProviderKind
    name: str
    vendor: str = ""  #: AWS's name of an OAuth provider's vendor
    document: dict[str, Any]  #: as AWS shapes it, without its secrets
    sealed: str  #: the secrets: crypto.keyring, purpose "credential-provider", aad account|kind|name
    callback_id: str = ""  #: the random part of the callback URL
    managed_by: str = ""
    revision: int = 1
    created_at: int
    updated_at: int
    account: str = DEFAULT_ACCOUNT


async def add(conn: AsyncConnection, row: CredentialProviderRow) -> None:
    """Insert a provider.

    Raises:
        Conflict: there is one of that kind and name.
    """
    conflict = f"A credential provider named {row.name!r} exists already."
    await insert_row(conn, credential_providers, row, conflict=conflict)


async def get(
    conn: AsyncConnection, kind: ProviderKind, name: str, *, account: str = DEFAULT_ACCOUNT
) -> CredentialProviderRow | None:
    """Return one provider."""
    statement = select(credential_providers).where(_is(account, kind, name))
    return await fetch_one(conn, statement, CredentialProviderRow)


async def list_all(conn: AsyncConnection) -> list[CredentialProviderRow]:
    """Return every provider, by kind and name."""
    columns = credential_providers.c
    statement = select(credential_providers).order_by(columns.account, columns.kind, columns.name)
    return await fetch_all(conn, statement, CredentialProviderRow)


async def page(
    conn: AsyncConnection, kind: ProviderKind, *, after: str, limit: int, account: str = DEFAULT_ACCOUNT
) -> list[CredentialProviderRow]:
    """Return up to ``limit`` providers whose names follow ``after``, by name."""
    columns = credential_providers.c
    statement = (
        select(credential_providers)
        .where(columns.account == account, columns.kind == kind, columns.name > after)
        .order_by(columns.name)
        .limit(limit)
    )
    return await fetch_all(conn, statement, CredentialProviderRow)


async def count(conn: AsyncConnection, kind: ProviderKind, *, account: str = DEFAULT_ACCOUNT) -> int:
    """Return how many providers of a kind there are."""
    columns = credential_providers.c
    statement = select(func.count()).where(columns.account == account, columns.kind == kind)
    return (await conn.execute(statement)).scalar_one()


async def replace(
    conn: AsyncConnection, row: CredentialProviderRow, *, expected_revision: int
) -> CredentialProviderRow:
    """Write ``row`` over the one of its kind and name and return it with its new revision.

    Raises:
        Conflict: it is gone, or its revision is no longer ``expected_revision``.
    """
    new = changed(row, revision=expected_revision + 1)
    statement = (
        update(credential_providers)
        .where(_is(row.account, row.kind, row.name), credential_providers.c.revision == expected_revision)
        .values(values_of(new, without=("account", "kind", "name", "created_at")))
    )
    if not await affects(conn, statement):
        raise Conflict(f"The credential provider {row.name!r} was changed or deleted meanwhile; read it again.")
    return new


async def delete(conn: AsyncConnection, kind: ProviderKind, name: str, *, account: str = DEFAULT_ACCOUNT) -> bool:
    """Delete a provider; says whether it was there."""
    return await affects(conn, delete_from(credential_providers).where(_is(account, kind, name)))


def _is(account: str, kind: str, name: str):  # noqa: ANN202 - SQLAlchemy's expression type is generic over its parts
    columns = credential_providers.c
    return (columns.account == account) & (columns.kind == kind) & (columns.name == name)
