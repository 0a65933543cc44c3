"""Everything that a file could declare as it is stored: one document for each resource, in the form of the file.

What ``export`` writes and what ``diff`` compares. A document holds no secret; in its place stands a digest, for
comparison only, which nothing prints.
"""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final, Literal

from sqlalchemy.ext.asyncio import AsyncConnection

from portico.authorizer.access_keys import open_key
from portico.control.arns import api_key_provider_arn, gateway_arn, oauth2_provider_arn, workload_identity_arn
from portico.control.connector_secrets import digestible, without_secrets
from portico.control.documents import EXTENSION_KEY
from portico.crypto.keyring import Keyring
from portico.identity.sealing import open_secrets
from portico.model.errors import SealError
from portico.storage import (
    access_keys,
    clients,
    credential_providers,
    gateways,
    issuers,
    tags,
    targets,
    users,
    workload_identities,
)
from portico.storage.clients import ClientRow
from portico.storage.credential_providers import CredentialProviderRow
from portico.storage.issuers import IssuerRow
from portico.storage.users import UserRow

Kind = Literal[
    "issuer",
    "user",
    "client",
    "OAuth2 credential provider",
    "API key credential provider",
    "workload identity",
    "gateway",
    "target",
    "access key",
]

TAGS: Final = "tags"

_AWAY: Final = "its issuer is not declared any more"
_DISABLED: Final = "it is disabled, which a file cannot say"


@dataclass(frozen=True, slots=True, kw_only=True)
class Resource:
    """One resource."""

    kind: Kind
    name: str
    of: str = ""  #: the issuer or the gateway that it belongs to, by name
    document: Mapping[str, Any]  #: in the form of the file, without what belongs to it and without its secret
    managed_by: str
    secret: str = ""  #: digest of its secret or secrets; empty when it has none
    connectors: tuple[str, ...] = ()  #: of an issuer, those that have a secret
    hashed: Mapping[str, str] | None = None  #: the member of the file that holds the secret's hash, where one is stored
    undeclarable: str = ""  #: why a file cannot declare it as it is; empty when it can

    @property
    def label(self) -> str:
        """The resource's name with that of what it belongs to."""
        return f"{self.of}/{self.name}" if self.of else self.name


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where the resources are, as it stands in their ARNs."""

    account: str
    region: str


async def read_resources(conn: AsyncConnection, keyring: Keyring, place: Place) -> list[Resource]:
    """Return every resource of one state of the database, in the order of the file's lists and by name."""
    tagged = await tags.list_all(conn, account=place.account)
    return [
        *await _directory(conn, keyring),
        *await _providers(conn, keyring, place, tagged),
        *await _identities(conn, place, tagged),
        *await _gateways(conn, place, tagged),
        *await _access_keys(conn, keyring),
    ]


async def _directory(conn: AsyncConnection, keyring: Keyring) -> list[Resource]:
    every_user, every_client = await users.list_all(conn), await clients.list_all(conn)
    found: list[Resource] = []
    names: set[str] = set()
    for row in await issuers.list_all(conn):
        names.add(row.name)
        found.append(_issuer(row, keyring))
    named = sorted(every_client, key=lambda row: (row.issuer, row.client_id))
    belonging = [*map(_user, every_user), *map(_client, named)]
    return found + [
        resource if resource.of in names else replace(resource, undeclarable=_AWAY) for resource in belonging
    ]


def _issuer(row: IssuerRow, keyring: Keyring) -> Resource:
    secrets = digestible(keyring, row.name, row.document)
    return Resource(
        kind="issuer",
        name=row.name,
        document={"name": row.name, **without_secrets(row.document)},
        managed_by=row.managed_by,
        secret=_digest("\0".join(f"{name}={secrets[name]}" for name in sorted(secrets))) if secrets else "",
        connectors=tuple(secrets),
    )


def _user(row: UserRow) -> Resource:
    why = _DISABLED if row.disabled_at is not None else ""
    if row.connector:
        why = "the person comes from a provider, and does so again"
    return Resource(
        kind="user",
        name=row.name,
        of=row.issuer,
        document=_filled(name=row.name, displayName=row.display_name, email=row.email),
        managed_by=row.managed_by,
        secret=_digest(row.password_hash),
        hashed={"passwordHash": row.password_hash},
        undeclarable=why,
    )


def _client(row: ClientRow) -> Resource:
    why = _DISABLED if row.disabled_at is not None else ""
    if row.kind in {"registered", "document"}:
        why = "it registered itself, and does so again"
    machine, secretive = row.kind == "machine", row.kind in {"machine", "confidential"}
    shared = _filled(scopes=list(row.scopes), defaultResource=row.default_resource)
    if machine:
        document = _filled(name=row.name, clientId="" if row.client_id == row.name else row.client_id) | shared
    else:
        redirects = {"redirectUris": list(row.redirect_uris)}
        document = _filled(clientId=row.client_id, name="" if row.client_id == row.name else row.name)
        document |= redirects | shared | ({} if row.pkce_required else {"pkceRequired": False})
    return Resource(
        kind="client",
        name=row.client_id,
        of=row.issuer,
        document=document,
        managed_by=row.managed_by,
        secret=_digest(row.secret_hash) if secretive else "",
        hashed={"secretHash": row.secret_hash} if secretive else None,
        undeclarable=why,
    )


async def _providers(
    conn: AsyncConnection, keyring: Keyring, place: Place, tagged: Mapping[str, Mapping[str, str]]
) -> list[Resource]:
    rows = [row for row in await credential_providers.list_all(conn) if row.account == place.account]
    return [_provider(row, keyring, place, tagged) for row in sorted(rows, key=lambda row: row.kind != "oauth2")]


def _provider(
    row: CredentialProviderRow, keyring: Keyring, place: Place, tagged: Mapping[str, Mapping[str, str]]
) -> Resource:
    oauth = row.kind == "oauth2"
    build = oauth2_provider_arn if oauth else api_key_provider_arn
    arn = build(row.name, region=place.region, account=place.account)
    return Resource(
        kind="OAuth2 credential provider" if oauth else "API key credential provider",
        name=row.name,
        document=row.document | _tags(tagged, arn),
        managed_by=row.managed_by,
        secret=_provider_digest(row, keyring),
    )


def _provider_digest(row: CredentialProviderRow, keyring: Keyring) -> str:
    try:
        secrets = open_secrets(keyring, row.sealed, account=row.account, kind=row.kind, name=row.name)
    except SealError:  # its key left the keyring: whatever is given instead is a change
        return _digest(row.sealed)
    return _digest("\0".join(f"{name}={secrets[name].reveal()}" for name in sorted(secrets)))


async def _identities(conn: AsyncConnection, place: Place, tagged: Mapping[str, Mapping[str, str]]) -> list[Resource]:
    return [
        Resource(
            kind="workload identity",
            name=row.name,
            document=row.document
            | _tags(tagged, workload_identity_arn(row.name, region=place.region, account=place.account)),
            managed_by=row.managed_by,
        )
        for row in await workload_identities.list_all(conn)
        if row.account == place.account and not row.owner
    ]


async def _gateways(conn: AsyncConnection, place: Place, tagged: Mapping[str, Mapping[str, str]]) -> list[Resource]:
    found: list[Resource] = []
    for row in await gateways.list_all(conn):
        arn = gateway_arn(row.id, region=place.region, account=place.account)
        document = row.document | _tags(tagged, arn) | _extension(row.extension)
        found.append(Resource(kind="gateway", name=row.name, document=document, managed_by=row.managed_by))
        found += [
            Resource(
                kind="target",
                name=target.name,
                of=row.name,
                document=target.document | _extension(target.extension),
                managed_by=target.managed_by,
            )
            for target in await targets.documents_of(conn, row.id)
        ]
    return found


async def _access_keys(conn: AsyncConnection, keyring: Keyring) -> list[Resource]:
    names = {row.id: row.name for row in await gateways.list_all(conn)}
    found: list[Resource] = []
    for row in sorted(await access_keys.list_all(conn), key=lambda row: row.id):
        opened = open_key(keyring, row)
        confined = sorted(names[gateway] for gateway in row.gateways if gateway in names)
        why = _DISABLED if row.disabled_at is not None else ""
        if row.gateways and not confined:
            why = "it is confined to gateways that are gone"  # without the list it would be good for all of them
        found.append(
            Resource(
                kind="access key",
                name=row.id,
                document={"accessKeyId": row.id, "name": row.name, "role": row.role} | _filled(gateways=confined),
                managed_by=row.managed_by,
                secret=_digest(row.sealed_secret if opened is None else opened.secret.reveal()),
                undeclarable=why,
            )
        )
    return found


def _tags(tagged: Mapping[str, Mapping[str, str]], arn: str) -> dict[str, Any]:
    return {TAGS: dict(tagged[arn])} if arn in tagged else {}


def _extension(extension: Mapping[str, Any]) -> dict[str, Any]:
    return {EXTENSION_KEY: dict(extension)} if extension else {}


def _filled(**members: Any) -> dict[str, Any]:
    """Leave out what is empty: in a file it would be refused or mean the same."""
    return dict(_nonempty(members))


def _nonempty(members: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    return ((name, value) for name, value in members.items() if value)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
