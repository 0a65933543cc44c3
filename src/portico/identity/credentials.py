"""The one question that a call has for this package: what is the target called with?"""

import time
from collections.abc import Callable
from collections.abc import Set as AbstractSet
from typing import assert_never

from portico.crypto.keyring import Keyring
from portico.identity.exchange import TokenEndpoints
from portico.identity.provider_store import ProviderStore
from portico.identity.providers import ApiKeyProvider
from portico.identity.tokens import ClientTokens, Token
from portico.model.credential import ApiKeyUse, ClientCredentialsUse, Credential
from portico.model.errors import StorageUnavailable
from portico.model.target import Target
from portico.net.fetch import Fetcher
from portico.storage.engine import Database


class Credentials:
    """Credentials for targets. Answers from memory; what is missing there is read or fetched.

    A call asks :meth:`credential_for`, sends what it gets, and when the target answers 401 asks :meth:`renewed` once.
    :meth:`reload` follows the counter :data:`~portico.identity.provider_store.SCOPE`.
    """

    def __init__(
        self,
        *,
        database: Database,
        keyring: Keyring,
        fetcher: Fetcher,
        owner: str,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Take the name of this process, under which it fetches tokens for the others too."""
        self._providers = ProviderStore(database, keyring)
        self._endpoints = TokenEndpoints(fetcher, clock=clock)
        self._tokens = ClientTokens(database, keyring, self._endpoints, owner=owner, clock=clock)

    async def load_all(self) -> None:
        """Read every provider; to be called once before the first call."""
        await self._providers.load_all()

    async def reload(self, _scopes: AbstractSet[str] = frozenset()) -> None:
        """Read the providers anew because one was changed; what depended on an older version is forgotten."""
        await self._providers.load_all()
        versions = self._providers.versions
        self._tokens.keep_only(versions)
        self._endpoints.keep_only(versions)

    async def credential_for(self, target: Target, *, fresh: bool = False) -> Credential | None:
        """Return what ``target`` is called with, None when it is called with nothing.

        With ``fresh`` the provider is read from the database and failures that are remembered do not count, as a
        synchronization wants it right after something was mended.

        Raises:
            CredentialUnavailable: it has to be called with something that cannot be had; ``reason`` says why and what
                would mend it. The target is not to be called.
            StorageUnavailable: with ``fresh`` only.
        """
        use = target.credential
        match use:
            case None:
                return None
            case ApiKeyUse():
                if fresh:
                    await self._providers.load("api_key", use.provider)
                return key_credential(self._providers.api_key(use.provider), use)
            case ClientCredentialsUse():
                if fresh:
                    await self._providers.load("oauth2", use.provider)
                provider = self._providers.oauth(use.provider)
                token = await self._tokens.get(provider, use, insist=fresh)
                return bearer_credential(token, use, identity=provider.version)
            case _:
                assert_never(use)

    async def renewed(self, target: Target, refused: Credential) -> Credential | None:
        """Return another credential than the one that ``target`` refused with 401, None when there is no other.

        A token is forgotten, everywhere, and fetched anew; but not one that is so young that it cannot have been
        revoked meanwhile (``YOUNG_SECONDS``): then the target refuses it on principle, and another would be as bad. An
        API key is another only when its provider was changed meanwhile.

        Raises:
            CredentialUnavailable: the old one is forgotten and no new one is to be had.
        """
        use = target.credential
        match use:
            case None:
                return None
            case ApiKeyUse():
                try:
                    await self._providers.load("api_key", use.provider)
                except StorageUnavailable:
                    return None
            case ClientCredentialsUse():
                provider = self._providers.oauth(use.provider)
                current = await self._tokens.get(provider, use)
                same = bearer_credential(current, use, identity=provider.version) == refused
                if same and not await self._tokens.forget(provider, use, current):
                    return None
            case _:
                assert_never(use)
        credential = await self.credential_for(target)
        return None if credential == refused else credential

    async def aclose(self) -> None:
        """Stop what is being fetched."""
        await self._tokens.aclose()


def bearer_credential(token: Token, use: ClientCredentialsUse, *, identity: str) -> Credential:
    """Return a token as it is sent (RFC 6750 section 2.1)."""
    header = (b"authorization", b"Bearer " + token.value.reveal().encode())
    return Credential(headers=(header,), identity=identity, about=_about(token, use))


def _about(token: Token, use: ClientCredentialsUse) -> str:
    """Say what a target that refuses the token may miss in it: many providers leave out a scope without a word."""
    if not use.scopes:
        return "It was asked for without scopes."
    if token.granted is None:
        return f"It was asked for with the scopes: {' '.join(use.scopes)}."
    missing = [scope for scope in use.scopes if scope not in token.granted.split()]
    return f"The provider granted all scopes but: {' '.join(missing)}." if missing else ""


def key_credential(provider: ApiKeyProvider, use: ApiKeyUse) -> Credential:
    """Return an API key as it is sent: after its prefix, which is parted from it by a space when it is a word."""
    prefix = f"{use.prefix} " if use.prefix[-1:].isalnum() else use.prefix
    value = prefix + provider.api_key.reveal()
    if use.location == "query":
        return Credential(query=((use.parameter, value),), identity=provider.version)
    return Credential(headers=((use.parameter.lower().encode(), value.encode()),), identity=provider.version)
