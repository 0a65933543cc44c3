"""Steps on credential providers, inside the caller's transaction: the API and a file go through the same ones.

A provider that was changed is told to every replica by its counter, the tokens that it gave are forgotten, and the
targets that use it are synchronized anew: one that failed for a wrong secret recovers by itself.
"""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from dataclasses import replace as changed
from typing import Any, Final

from portico.control.arns import api_key_provider_arn, oauth2_provider_arn
from portico.control.outbound import provider_of
from portico.control.provider_documents import API_KEY, SECRET, server_of
from portico.control.quotas import ensure_room
from portico.control.tags import ensure_tags
from portico.control.targets import SYNC_JOB
from portico.control.transaction import Transaction
from portico.crypto.keyring import Keyring
from portico.identity.provider_store import SCOPE
from portico.identity.providers import CONFIG_KEY
from portico.identity.sealing import Secrets, open_secrets, seal_secrets
from portico.model.errors import Conflict, Fault, InUse, InvalidInput, SealError
from portico.oauth.vendors import VENDORS
from portico.storage import counters, credential_providers, gateways, jobs, outbound_tokens, tags, targets
from portico.storage.credential_providers import CredentialProviderRow, ProviderKind
from portico.storage.targets import TargetRow

#: The member that holds a provider's secret.
_MEMBERS: Final[Mapping[ProviderKind, str]] = {"oauth2": SECRET, "api_key": API_KEY}
_NOUNS: Final[Mapping[ProviderKind, str]] = {
    "oauth2": "OAuth2 credential provider",
    "api_key": "API key credential provider",
}
_OPERATIONS: Final[Mapping[ProviderKind, str]] = {
    "oauth2": "Oauth2CredentialProvider",
    "api_key": "ApiKeyCredentialProvider",
}
_MAX_SHOWN: Final = 5  #: targets that a refusal names


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderRequest:
    """What a provider is to be: its document without secrets, the secrets that were given, and its tags."""

    kind: ProviderKind
    document: Mapping[str, Any]
    secrets: Secrets
    tags: Mapping[str, str] | None = None  #: None: they stay as they are

    @property
    def name(self) -> str:
        """The provider's name."""
        return self.document["name"]


async def put(tx: Transaction, keyring: Keyring, wanted: ProviderRequest) -> CredentialProviderRow:
    """Make the provider of that kind and name or replace it as a whole; what is the same changes nothing.

    Raises:
        Conflict: somebody else manages it.
        InvalidInput: its secret is missing.
        QuotaExceeded: there are as many as there may be.
    """
    stored = await credential_providers.get(tx.conn, wanted.kind, wanted.name, account=tx.account)
    if stored is None:
        return await create(tx, keyring, wanted)
    return await update(tx, keyring, stored, wanted)


async def create(tx: Transaction, keyring: Keyring, wanted: ProviderRequest) -> CredentialProviderRow:
    """Make a provider.

    Raises:
        Conflict: there is one of that kind and name.
        InvalidInput: its secret is missing.
        QuotaExceeded: there are as many as there may be.
    """
    if await credential_providers.get(tx.conn, wanted.kind, wanted.name, account=tx.account) is not None:
        raise Conflict(f"An {_NOUNS[wanted.kind]} named {wanted.name!r} exists already.")
    await _ensure_room(tx, wanted.kind)
    ensure_tags(wanted.tags or {}, tx.quotas.tags_per_resource)
    if not wanted.secrets:
        raise InvalidInput([_missing(wanted, "is required")])
    row = CredentialProviderRow(
        kind=wanted.kind,
        name=wanted.name,
        vendor=wanted.document.get("credentialProviderVendor", ""),
        document=dict(wanted.document),
        sealed=_seal(tx, keyring, wanted, wanted.secrets),
        callback_id=str(uuid.UUID(bytes=tx.random(16), version=4)),
        managed_by=tx.managed_by,
        created_at=tx.now,
        updated_at=tx.now,
        account=tx.account,
    )
    await credential_providers.add(tx.conn, row)
    arn = arn_of(tx, row)
    await tags.put(tx.conn, arn, wanted.tags or {}, account=tx.account)
    await _told(tx, row)
    await tx.changes.record(tx.conn, f"Create{_OPERATIONS[row.kind]}", arn, None, _shown(row))
    return row


async def update(
    tx: Transaction, keyring: Keyring, stored: CredentialProviderRow, wanted: ProviderRequest
) -> CredentialProviderRow:
    """Replace a provider as it was read. Its secret stays when none is given and it would go nowhere else.

    Whoever may change a provider need not know its secret; to have it sent to another server or for another client,
    they must (it could be collected there).

    Raises:
        Conflict: somebody else manages it, or it was changed since it was read.
        InvalidInput: its secret is missing.
    """
    tx.protect("credential provider", stored)
    known = _opened(keyring, stored)
    secrets = wanted.secrets or known
    if not secrets:
        raise InvalidInput([_missing(wanted, "is required: the stored one cannot be opened any more")])
    if not wanted.secrets and stored.kind == "oauth2" and server_of(stored.document) != server_of(wanted.document):
        raise InvalidInput([_missing(wanted, "is required when vendor, client or endpoints change")])
    await _replace_tags(tx, stored, wanted)
    if stored.document == dict(wanted.document) and known == secrets:
        return stored
    row = changed(
        stored,
        vendor=wanted.document.get("credentialProviderVendor", ""),
        document=dict(wanted.document),
        sealed=_seal(tx, keyring, wanted, secrets),
        updated_at=tx.now,
    )
    row = await credential_providers.replace(tx.conn, row, expected_revision=stored.revision)
    await _told(tx, row)
    for target in await users_of(tx, row):
        await jobs.put(tx.conn, SYNC_JOB, target.id, tx.now)
    action = f"Update{_OPERATIONS[row.kind]}"
    after = _shown(row) | ({} if known == secrets else {"secret": "changed"})
    await tx.changes.record(tx.conn, action, arn_of(tx, row), _shown(stored), after)
    return row


async def remove(tx: Transaction, row: CredentialProviderRow) -> None:
    """Delete a provider that no target uses.

    Raises:
        Conflict: somebody else manages it.
        InUse: targets use it.
    """
    tx.protect("credential provider", row)
    users = [target.name for target in await users_of(tx, row)]
    if users:
        named = ", ".join(users[:_MAX_SHOWN]) + (", ..." if len(users) > _MAX_SHOWN else "")
        message = f"the credential provider {row.name!r} is used by {len(users)} targets ({named}); change them first"
        raise InUse([Fault(path="name", message=message)])
    arn = arn_of(tx, row)
    await credential_providers.delete(tx.conn, row.kind, row.name, account=tx.account)
    await tags.remove_all(tx.conn, arn, account=tx.account)
    await _told(tx, row)
    await tx.changes.record(tx.conn, f"Delete{_OPERATIONS[row.kind]}", arn, _shown(row), None)


async def users_of(tx: Transaction, row: CredentialProviderRow) -> list[TargetRow]:
    """Return the targets that use a provider."""
    found: list[TargetRow] = []
    for gateway in await gateways.list_all(tx.conn):
        if gateway.account == row.account:
            listed = await targets.documents_of(tx.conn, gateway.id)
            found += [target for target in listed if provider_of(target.document) == (row.kind, row.name)]
    return found


def arn_of(tx: Transaction, row: CredentialProviderRow) -> str:
    """Return a provider's ARN."""
    build = oauth2_provider_arn if row.kind == "oauth2" else api_key_provider_arn
    return build(row.name, region=tx.region, account=tx.account)


async def _ensure_room(tx: Transaction, kind: ProviderKind) -> None:
    count = await credential_providers.count(tx.conn, kind, account=tx.account)
    if kind == "oauth2":
        ensure_room(count, tx.quotas.oauth2_providers, setting="oauth2_providers", of=f"{_NOUNS[kind]}s")
    else:
        ensure_room(count, tx.quotas.api_key_providers, setting="api_key_providers", of=f"{_NOUNS[kind]}s")


async def _replace_tags(tx: Transaction, stored: CredentialProviderRow, wanted: ProviderRequest) -> None:
    if wanted.tags is None:
        return
    arn = arn_of(tx, stored)
    had = await tags.get(tx.conn, arn, account=tx.account)
    ensure_tags(wanted.tags, tx.quotas.tags_per_resource)
    await tags.remove(tx.conn, arn, had.keys() - wanted.tags.keys(), account=tx.account)
    await tags.put(tx.conn, arn, wanted.tags, account=tx.account)
    if had != dict(wanted.tags):
        await tx.changes.record(tx.conn, "TagResource", arn, {"tags": had}, {"tags": dict(wanted.tags)})


async def _told(tx: Transaction, row: CredentialProviderRow) -> None:
    """Tell every replica, and forget what the provider gave."""
    if row.kind == "oauth2":
        await outbound_tokens.forget_provider(tx.conn, row.name, account=tx.account)
    await counters.bump(tx.conn, SCOPE)


def _seal(tx: Transaction, keyring: Keyring, wanted: ProviderRequest, secrets: Secrets) -> str:
    return seal_secrets(keyring, secrets, account=tx.account, kind=wanted.kind, name=wanted.name)


def _opened(keyring: Keyring, row: CredentialProviderRow) -> Secrets:
    """Return the stored secrets; none when their key left the keyring."""
    try:
        return open_secrets(keyring, row.sealed, account=row.account, kind=row.kind, name=row.name)
    except SealError:
        return {}


def _missing(wanted: ProviderRequest, message: str) -> Fault:
    path = _MEMBERS[wanted.kind]
    if wanted.kind == "oauth2":
        path = f"{CONFIG_KEY}.{VENDORS[wanted.document['credentialProviderVendor']].member}.{path}"
    return Fault(path=path, message=message)


def _shown(row: CredentialProviderRow) -> dict[str, Any]:
    """Return what the audit trail shows of a provider; its secrets are not in it."""
    return dict(row.document)
