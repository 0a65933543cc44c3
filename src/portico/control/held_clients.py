"""Use cases on the clients that an administrator holds for people: hosted applications, with their redirect URIs.

A held client's own redirect URIs are its allow-list: exact, and nobody else's (A13, A16). What is to be pasted into
the application is told by :func:`values_of`.
"""

import os
from dataclasses import dataclass
from dataclasses import replace as changed
from typing import Any, Final, cast

from sqlalchemy.ext.asyncio import AsyncConnection

from portico.control import clients as client_steps
from portico.control.changes import BY_PROCESS
from portico.control.clients import (
    ClientSummary,
    NewClient,
    check_client,
    end_everything,
    replace,
    require_client,
    require_unmanaged,
    summary,
)
from portico.control.issuers import require_issuer
from portico.control.operations.context import Changes
from portico.control.relaxations import Ground
from portico.control.secrets import Random, new_client_secret, secret_hash
from portico.model.errors import NotFound
from portico.oauth.client import ClientKind
from portico.oauth.issuer_settings import parse_issuer_settings
from portico.oauth.resource import gateway_resource
from portico.storage import gateways
from portico.storage.clients import ClientRow
from portico.storage.engine import Database
from portico.storage.gateways import GatewayRow

_HELD: Final[frozenset[ClientKind]] = frozenset({"public", "confidential"})


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientValues:
    """What an application has to be told, but for the secret."""

    client: ClientSummary
    issuer_url: str
    scopes: tuple[str, ...]  #: that it may ask for
    server_urls: tuple[str, ...]  #: of the gateways whose tokens the issuer makes


async def add_confidential(
    database: Database,
    *,
    issuer: str,
    client_id: str,
    name: str,
    now: int,
    redirect_uris: tuple[str, ...] = (),
    scopes: tuple[str, ...] = (),
    default_resource: str = "",
    pkce_required: bool = True,
    random: Random = os.urandom,
    changes: Changes = BY_PROCESS,
) -> NewClient:
    """Add a client that people log in with and that proves itself by a secret: a hosted application.

    Its redirect URIs may be added later: many applications tell theirs only once they were given the client's id.

    Raises:
        InputError: id, name, redirect URIs or scopes cannot be used.
        NotFound: there is no such issuer.
        Conflict: the id is taken.
    """
    secret = new_client_secret(random)
    row = ClientRow(
        issuer=issuer,
        client_id=client_id,
        kind="confidential",
        name=name,
        secret_hash=secret_hash(secret),
        redirect_uris=redirect_uris,
        scopes=scopes,
        default_resource=default_resource,
        pkce_required=pkce_required,
        created_at=now,
    )
    await client_steps.add(database, row, changes)
    return NewClient(client=summary(row), secret=secret)


async def add_redirect(
    database: Database, *, issuer: str, client_id: str, uri: str, changes: Changes = BY_PROCESS
) -> ClientSummary:
    """Let codes of a client go to one more redirect URI; one that it has already changes nothing.

    Raises:
        InputError: it cannot be used, or there are too many.
        NotFound: there is no such client, or none that people log in with.
        Conflict: a file declares the client.
    """
    async with database.write() as conn:
        row = await _held(conn, issuer, client_id)
        if uri in row.redirect_uris:
            return summary(row)
        wanted = changed(row, redirect_uris=(*row.redirect_uris, uri))
        check_client(wanted)
        await replace(conn, row, wanted, changes)
    return summary(wanted)


async def remove_redirect(
    database: Database,
    *,
    ground: Ground,
    issuer: str,
    client_id: str,
    uri: str,
    now: int,
    changes: Changes = BY_PROCESS,
) -> ClientSummary:
    """Take a redirect URI from a client; what was issued to it ends, as nobody can tell which codes went there.

    Raises:
        InputError: a public client would have none left.
        NotFound: there is no such client, or it does not have that redirect URI.
        Conflict: a file declares the client.
    """
    async with database.write() as conn:
        row = await _held(conn, issuer, client_id)
        if uri not in row.redirect_uris:
            raise NotFound(f"The client {client_id!r} does not have that redirect URI.")
        wanted = changed(row, redirect_uris=tuple(one for one in row.redirect_uris if one != uri))
        check_client(wanted)
        await replace(conn, row, wanted, changes)
        await end_everything(conn, wanted, ground=ground, now=now)
    return summary(wanted)


async def values_of(database: Database, *, ground: Ground, issuer: str, client_id: str) -> ClientValues:
    """Return what has to be pasted into the application that a client is.

    Raises:
        NotFound: there is no such client.
    """
    async with database.read() as conn:
        row = await require_client(conn, issuer, client_id)
        document = (await require_issuer(conn, issuer)).document
        known = [gateway for gateway in await gateways.list_all(conn) if _trusts(gateway, issuer, ground)]
    urls = tuple(gateway_resource(ground.public_url, gateway.id) for gateway in known)
    return ClientValues(
        client=summary(row),
        issuer_url=ground.issuer_url(issuer),
        scopes=row.scopes or parse_issuer_settings(issuer, document).scopes,
        server_urls=(row.default_resource,) if row.default_resource else urls,
    )


def _trusts(gateway: GatewayRow, issuer: str, ground: Ground) -> bool:
    configuration = cast("dict[str, Any]", gateway.document.get("authorizerConfiguration") or {})
    authorizer = cast("dict[str, Any]", configuration.get("customJWTAuthorizer") or {})
    return ground.own_issuer(authorizer.get("discoveryUrl", "")) == issuer


async def _held(conn: AsyncConnection, issuer: str, client_id: str) -> ClientRow:
    row = await require_unmanaged(conn, issuer, client_id)
    if row.kind not in _HELD:
        raise NotFound(f"The client {client_id!r} is {row.kind}; its redirect URIs are not set here.")
    return row
