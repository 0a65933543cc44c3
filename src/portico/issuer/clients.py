"""Finding a client by its id: a sealed id holds the client, a declared one is a row; both may be disabled."""

import hashlib
import re
from collections.abc import Callable
from typing import Final

from sqlalchemy.ext.asyncio import AsyncConnection

from portico.crypto.keyring import Keyring
from portico.issuer.store import Issuer
from portico.model.errors import SealError
from portico.oauth.client import MAX_CLIENT_ID_CHARS, Client
from portico.oauth.registration import PURPOSE, registered_client
from portico.storage import clients
from portico.storage.clients import ClientRow

_PRINTABLE: Final = re.compile(r"[!-~]+\Z", re.ASCII)


def well_formed(client_id: str) -> bool:
    """Tell whether a client of ours could be called so; nothing else is looked up."""
    return len(client_id) <= MAX_CLIENT_ID_CHARS and _PRINTABLE.match(client_id) is not None


async def find_client(
    conn: AsyncConnection, keyring: Keyring, issuer: Issuer, client_id: str, *, document: Client | None = None
) -> Client | None:
    """Return the living client of ``client_id``, None when it is unknown, tampered with, disabled or deleted.

    ``document`` is the client as its own metadata describes it, fetched before the transaction.

    Raises:
        StorageUnavailable: whether it was disabled cannot be known.
    """
    if not well_formed(client_id):
        return None
    row = await clients.get(conn, issuer.name, client_id)
    if row is not None and row.kind != "document":
        return living(row)
    if row is not None and (row.disabled_at is not None or row.deleted_at is not None):
        return None
    return document if document is not None else sealed_client(keyring, issuer, client_id)


def seal_client(keyring: Keyring, issuer: Issuer, plaintext: bytes, *, random: Callable[[int], bytes]) -> str:
    """Return the id of a client that registered itself: it holds the client, and is one at this issuer only."""
    return keyring.seal(PURPOSE, plaintext, aad=issuer.url.encode(), random=random)


def sealed_client(keyring: Keyring, issuer: Issuer, client_id: str) -> Client | None:
    """Return the client that registered itself and holds itself in its id, None when it is not one of this issuer.

    The issuer's URL decides, not its name: two façades that share a keyring are both named ``root``, and a client that
    one of them let register must be a stranger to the other.
    """
    try:
        return registered_client(client_id, keyring.open(PURPOSE, client_id, aad=issuer.url.encode()))
    except SealError:
        return None


def client_digest(client_id: str) -> bytes:
    """Return what stands for a client where its id would be too long to be carried along."""
    return hashlib.sha256(client_id.encode()).digest()


def remembered(client: Client, issuer: str, now: int) -> ClientRow:
    """Return the row that a client which named itself gets at its first granted consent."""
    return ClientRow(
        issuer=issuer,
        client_id=client.id,
        kind=client.kind,
        name=client.name,
        redirect_uris=client.redirect_uris,
        created_at=now,
    )


def living(row: ClientRow) -> Client | None:
    """Return the client of a row, None when it is disabled or deleted."""
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
