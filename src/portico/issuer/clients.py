"""Finding a client by its id: a sealed id holds the client, a declared one is a row; both may be disabled."""

import re
from typing import Final

from sqlalchemy.ext.asyncio import AsyncConnection

from portico.crypto.keyring import Keyring
from portico.model.errors import SealError
from portico.oauth.client import MAX_CLIENT_ID_CHARS, Client
from portico.oauth.registration import PURPOSE, registered_client
from portico.storage import clients
from portico.storage.clients import ClientRow

_PRINTABLE: Final = re.compile(r"[!-~]+\Z", re.ASCII)


async def find_client(conn: AsyncConnection, keyring: Keyring, issuer: str, client_id: str) -> Client | None:
    """Return the living client of ``client_id``, None when it is unknown, tampered with, disabled or deleted.

    Raises:
        StorageUnavailable: whether it was disabled cannot be known.
    """
    if len(client_id) > MAX_CLIENT_ID_CHARS or not _PRINTABLE.match(client_id):
        return None
    row = await clients.get(conn, issuer, client_id)
    if row is not None:
        return _living(row)
    try:
        return registered_client(client_id, keyring.open(PURPOSE, client_id, aad=issuer.encode()))
    except SealError:
        return None


def remembered(client: Client, issuer: str, now: int) -> ClientRow:
    """Return the row that a registered client gets at its first granted consent."""
    return ClientRow(
        issuer=issuer,
        client_id=client.id,
        kind="registered",
        name=client.name,
        redirect_uris=client.redirect_uris,
        created_at=now,
    )


def _living(row: ClientRow) -> Client | None:
    if row.disabled_at is not None or row.deleted_at is not None:
        return None
    return Client(
        id=row.client_id,
        kind=row.kind,
        name=row.name,
        redirect_uris=row.redirect_uris,
        scopes=row.scopes,
        default_resource=row.default_resource,
        secret_hash=row.secret_hash,
        pkce_required=row.pkce_required,
    )
