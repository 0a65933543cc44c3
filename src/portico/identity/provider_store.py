"""Every credential provider, in memory: a call that needs one reads no database."""

from collections.abc import Set as AbstractSet
from typing import Final

import structlog

from portico.crypto.keyring import Keyring
from portico.identity.providers import ApiKeyProvider, OAuthProvider, parse_oauth_provider
from portico.identity.sealing import open_secrets
from portico.model.errors import CredentialUnavailable, SealError
from portico.storage import credential_providers
from portico.storage.credential_providers import CredentialProviderRow, ProviderKind
from portico.storage.engine import Database

SCOPE: Final = "providers"  #: the counter that every change of a provider raises

Provider = OAuthProvider | ApiKeyProvider

_log = structlog.stdlib.get_logger("portico.identity")


class ProviderStore:
    """The providers of the last :meth:`load_all`, replaced as a whole when one was changed."""

    def __init__(self, database: Database, keyring: Keyring) -> None:
        self._database = database
        self._keyring = keyring
        self._known: dict[tuple[ProviderKind, str], Provider | CredentialUnavailable] = {}

    async def load_all(self) -> None:
        """Read every provider."""
        async with self._database.read() as conn:
            rows = await credential_providers.list_all(conn)
        self._known = {(row.kind, row.name): self._opened(row) for row in rows}

    async def load(self, kind: ProviderKind, name: str) -> None:
        """Read one provider anew: whoever acts on a change must not wait until its news arrives."""
        async with self._database.read() as conn:
            row = await credential_providers.get(conn, kind, name)
        if row is None:
            self._known.pop((kind, name), None)
        else:
            self._known[kind, name] = self._opened(row)

    def oauth(self, name: str) -> OAuthProvider:
        """Return an OAuth provider.

        Raises:
            CredentialUnavailable: there is none of that name, or its secret cannot be opened.
        """
        found = self._get("oauth2", name)
        assert isinstance(found, OAuthProvider)
        return found

    def api_key(self, name: str) -> ApiKeyProvider:
        """Return an API key provider.

        Raises:
            CredentialUnavailable: there is none of that name, or its key cannot be opened.
        """
        found = self._get("api_key", name)
        assert isinstance(found, ApiKeyProvider)
        return found

    @property
    def versions(self) -> AbstractSet[str]:
        """The versions of all providers that can be used."""
        return {known.version for known in self._known.values() if not isinstance(known, CredentialUnavailable)}

    def _get(self, kind: ProviderKind, name: str) -> Provider:
        found = self._known.get((kind, name))
        if found is None:
            noun = "OAuth" if kind == "oauth2" else "API key"
            raise CredentialUnavailable(
                f"There is no {noun} credential provider named {name!r}. "
                "Make it, or give the target another providerArn."
            )
        if isinstance(found, CredentialUnavailable):
            raise CredentialUnavailable(found.reason, detail=found.detail)
        return found

    def _opened(self, row: CredentialProviderRow) -> Provider | CredentialUnavailable:
        version = f"{row.account}/{row.kind}/{row.name}/{row.callback_id}/{row.created_at}/{row.revision}"
        try:
            secrets = open_secrets(self._keyring, row.sealed, account=row.account, kind=row.kind, name=row.name)
        except SealError as error:
            _log.warning("provider_not_opened", provider=row.name, detail=error.detail)
            return CredentialUnavailable(
                f"The secret of credential provider {row.name!r} was sealed with a key that left the keyring. "
                "Bring the key back, or update the provider with its secret.",
                detail=error.detail,
            )
        if row.kind == "api_key":
            return ApiKeyProvider(name=row.name, version=version, api_key=secrets["apiKey"])
        return parse_oauth_provider(row.name, version, row.document, secrets)
