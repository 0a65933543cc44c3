"""What outlives a request: clients, grants, codes and refresh tokens. Kept in a database, or sealed into the tokens.

The handlers of the endpoints hold the order of the steps and never learn which of the two they work with.
"""

from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Protocol

from portico.issuer.provider import ProviderTokens
from portico.issuer.store import Issuer
from portico.issuer.transaction import Transaction
from portico.model.oauth_errors import InvalidGrant
from portico.oauth.access_token import AccessToken
from portico.oauth.client import Client
from portico.oauth.token import ClaimedClient, CodeExchange, RefreshExchange


@dataclass(frozen=True, slots=True, kw_only=True)
class Issued:
    """What an access token is to be made of."""

    subject: str
    client_id: str
    scopes: tuple[str, ...]
    resource: str
    grant_id: str = ""
    refresh_token: str = ""
    provider: ProviderTokens | None = None  #: of the person's provider, where tokens hold or are the provider's


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveToken:
    """What introspection tells of a refresh token that still holds. Times are seconds since the epoch."""

    client_digest: bytes  #: SHA-256 of the client's id
    subject: str
    scopes: tuple[str, ...]
    issued_at: int
    expires_at: int


class Work(Protocol):
    """One request of a client, all or nothing where there is a database."""

    @property
    def client(self) -> Client | None:
        """The living client that the request names, unproven; None when there is none."""
        ...

    async def redeem(self, client: Client, asked: CodeExchange) -> Issued | InvalidGrant:
        """Use an authorization code up (RFC 6749 section 4.1.3); a second use ends its grant (section 4.1.2).

        What is returned as an error, not raised, goes with something that must be kept: the end of the grant.

        Raises:
            OAuthError: the code is not this client's, or does not fit; nothing changed.
        """
        ...

    async def rotate(self, client: Client, asked: RefreshExchange) -> Issued | InvalidGrant:
        """Exchange a refresh token for its successor (RFC 6749 section 6, RFC 9700 section 4.14.2).

        Raises:
            OAuthError: the token is not this client's, or its grant no longer holds; nothing changed.
        """
        ...

    async def revoke(self, client: Client, token: str, access: AccessToken | None) -> None:
        """End the grant that a token of this client came from; others' and unknown ones are left alone (RFC 7009).

        ``access`` is ``token`` when it is an access token of this issuer.
        """
        ...


class Ledger(Protocol):
    """Where clients, grants, codes and refresh tokens are kept."""

    async def find_client(self, issuer: Issuer, client_id: str) -> Client | None:
        """Return a living client, None when it is unknown, tampered with, disabled or deleted.

        Raises:
            PorticoError: it cannot be known right now, or the client's own metadata cannot be used.
        """
        ...

    async def admit(self, issuer: Issuer, transaction: Transaction, client: Client, provider_code: str) -> str:
        """Return the authorization code for a person whom a provider let in.

        Raises:
            Forbidden: this flow was finished before.
            OAuthError: the person may not in; the client is told.
            PorticoError: the provider cannot be asked.
        """
        ...

    def work(
        self, issuer: Issuer, claimed: ClaimedClient, asked: CodeExchange | RefreshExchange | None
    ) -> AbstractAsyncContextManager[Work]:
        """Begin the work on a request to exchange (or, without ``asked``, to revoke) a code or token."""
        ...

    async def refresh_token(self, issuer: Issuer, token: str) -> LiveToken | None:
        """Return what is told of a refresh token that still holds, None when it is none."""
        ...

    async def is_live(self, issuer: Issuer, access: AccessToken) -> bool:
        """Tell whether the grant and the client behind an access token still hold."""
        ...
