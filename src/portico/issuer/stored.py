"""The ledger in a database: clients, people, grants, codes and refresh tokens are rows that administrators see."""

from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final

from sqlalchemy.ext.asyncio import AsyncConnection

from portico.authorizer.revocations import Revocations
from portico.issuer.client_documents import ClientDocuments
from portico.issuer.clients import client_digest, find_client, well_formed
from portico.issuer.grants import Granted, living_grant, write_grant
from portico.issuer.ledger import Issued, LiveToken, Work
from portico.issuer.recheck import Rechecks, seal_login
from portico.issuer.redeem import Means, redeem_code, rotate
from portico.issuer.store import Issuer
from portico.issuer.transaction import Transaction
from portico.model.errors import Conflict, FlowFinished, Forbidden
from portico.model.oauth_errors import (
    AccessDenied,
    InvalidClient,
    InvalidClientMetadata,
    InvalidGrant,
    UnsupportedTokenType,
)
from portico.oauth.access_token import AccessToken
from portico.oauth.client import Client
from portico.oauth.client_metadata import is_document_id
from portico.oauth.token import ClaimedClient, CodeExchange, RefreshExchange, token_digest
from portico.oauth.upstream import Person
from portico.storage import grants, refresh_tokens, revocations, users
from portico.storage.engine import Database
from portico.storage.users import UserRow
from portico.web.sessions import new_token

SUBJECT_BYTES: Final = 16


class StoredLedger:
    """A :class:`~portico.issuer.ledger.Ledger` over rows."""

    def __init__(self, database: Database, means: Means, documents: ClientDocuments) -> None:
        self._database = database
        self._means = means
        self._documents = documents
        self._rechecks = Rechecks(database, means)
        self._revoked: Callable[[], None] | None = None

    def when_revoked(self, call: Callable[[], None]) -> None:
        """Have ``call`` called after a client gave something back: there may be a provider to be told."""
        self._revoked = call

    async def find_client(self, issuer: Issuer, client_id: str) -> Client | None:
        """Return a living client; see :class:`~portico.issuer.ledger.Ledger`."""
        document = await self._document(issuer, client_id)
        async with self._database.read() as conn:
            return await find_client(conn, self._means.keyring, issuer, client_id, document=document)

    async def admit(self, issuer: Issuer, transaction: Transaction, client: Client, provider_code: str) -> str:
        """Ask the provider who it is, remember the person, and write grant and code."""
        asked = transaction.request
        provider = issuer.provider(transaction.connector)
        try:
            login = await provider.exchange(
                provider_code, verifier=transaction.verifier, nonce=transaction.nonce, resource=asked.resource
            )
        except InvalidGrant as error:  # which the authorization endpoint has no word for (RFC 6749 section 4.1.2.1)
            raise AccessDenied(error.public, detail=error.detail) from error
        upstream = seal_login(self._means, provider, transaction.grant_id, login.tokens)
        code = new_token(self._means.random)
        try:
            async with self._database.write(shared=True) as conn:
                user = await self._remember(conn, issuer, login.person)
                if user.disabled_at is not None:
                    raise AccessDenied("The account was disabled here.")
                alive = await find_client(conn, self._means.keyring, issuer, client.id, document=client)
                if alive is None:
                    raise Forbidden("The application was removed meanwhile.")
                now = int(self._means.clock())
                asked_for = Granted(
                    grant_id=transaction.grant_id, subject=user.subject, request=asked, code=code, upstream=upstream
                )
                await write_grant(conn, issuer, alive, asked_for, now=now)
        except Conflict as error:
            raise FlowFinished("This login was finished already.", detail="the grant exists") from error
        return code

    @asynccontextmanager
    async def work(
        self, issuer: Issuer, claimed: ClaimedClient, asked: CodeExchange | RefreshExchange | None
    ) -> AsyncGenerator[Work]:
        """Begin the transaction of one request; a refresh first asks the person's provider whether they may still."""
        try:
            document = await self._document(issuer, claimed.client_id)
        except InvalidClientMetadata as error:
            raise InvalidClient(error.public) from error
        if isinstance(asked, RefreshExchange):
            await self._rechecks.ask(issuer, claimed.client_id, asked.token)
        async with self._database.write(shared=True) as conn:
            client = await find_client(conn, self._means.keyring, issuer, claimed.client_id, document=document)
            yield _StoredWork(conn=conn, means=self._means, issuer=issuer, client=client)
        if asked is None and self._revoked is not None:
            self._revoked()

    async def refresh_token(self, issuer: Issuer, token: str) -> LiveToken | None:
        """Return what is told of a refresh token that still holds."""
        now = int(self._means.clock())
        async with self._database.read() as conn:
            row = await refresh_tokens.find(conn, token_digest(token))
            if row is None or row.issuer != issuer.name or row.used_at is not None or now >= row.expires_at:
                return None
            try:
                grant, _ = await living_grant(conn, issuer, row.grant_id, now)
            except InvalidGrant:
                return None
        return LiveToken(
            client_digest=client_digest(row.client_id),
            subject=grant.subject,
            scopes=grant.scopes,
            issued_at=row.issued_at,
            expires_at=row.expires_at,
        )

    async def is_live(self, issuer: Issuer, access: AccessToken) -> bool:
        """Tell whether nothing that an access token stands on was revoked; read anew, whatever is in memory."""
        revoked = Revocations(self._database, clock=self._means.clock)
        await revoked.reload()
        try:
            client = await self.find_client(issuer, access.client_id)
        except InvalidClientMetadata:
            return False
        if client is None or revoked.refuses(issuer.url, access.claims):
            return False
        grant_id = access.claims.get("grant_id")
        if grant_id is None:
            return True
        try:
            async with self._database.read() as conn:
                await living_grant(conn, issuer, str(grant_id), int(self._means.clock()))
        except InvalidGrant:
            return False
        return True

    async def aclose(self) -> None:
        """Wait for what must not be given up half-way."""
        await self._rechecks.aclose()

    async def _document(self, issuer: Issuer, client_id: str) -> Client | None:
        """Fetch a client's own metadata before any transaction begins."""
        if not well_formed(client_id) or not is_document_id(client_id):
            return None
        return await self._documents.get(client_id, issuer.settings)

    async def _remember(self, conn: AsyncConnection, issuer: Issuer, person: Person) -> UserRow:
        now = int(self._means.clock())
        row = UserRow(
            issuer=issuer.name,
            subject=self._means.random(SUBJECT_BYTES).hex(),
            name=f"{person.connector}|{person.subject}",
            display_name=person.name,
            email=person.email,
            connector=person.connector,
            provider_subject=person.subject,
            password_changed_at=0,
            created_at=now,
        )
        try:
            known = await users.remember(conn, row)
        except Conflict as error:
            raise AccessDenied("Somebody else has this account's name here; the administrator can mend it.") from error
        if (known.display_name, known.email) != (person.name, person.email):
            await users.set_profile(conn, known.subject, display_name=person.name, email=person.email)
        return known


@dataclass(frozen=True, slots=True, kw_only=True)
class _StoredWork:
    """One request inside its write transaction."""

    conn: AsyncConnection
    means: Means
    issuer: Issuer
    client: Client | None

    async def redeem(self, client: Client, asked: CodeExchange) -> Issued | InvalidGrant:
        return await redeem_code(self.conn, self.means, self.issuer, client, asked)

    async def rotate(self, client: Client, asked: RefreshExchange) -> Issued | InvalidGrant:
        return await rotate(self.conn, self.means, self.issuer, client, asked)

    async def revoke(self, client: Client, token: str, access: AccessToken | None) -> None:
        grant_id = await self._grant_of(client, token, access)
        if grant_id:
            await revocations.end_grant(self.conn, self.issuer.url, grant_id, int(self.means.clock()))

    async def _grant_of(self, client: Client, token: str, access: AccessToken | None) -> str:
        """Return the id of this client's grant that ``token`` came from, empty when there is none."""
        mine = (self.issuer.name, client.id)
        row = await refresh_tokens.find(self.conn, token_digest(token))
        if row is not None:
            return row.grant_id if (row.issuer, row.client_id) == mine else ""
        if access is None or access.client_id != client.id:
            return ""
        if client.kind == "machine":
            raise UnsupportedTokenType(
                "Access tokens of machines cannot be revoked one by one; they end by themselves."
            )
        grant = await grants.get(self.conn, str(access.claims.get("grant_id", "")))
        return grant.id if grant is not None and (grant.issuer, grant.client_id) == mine else ""
