"""The issuers that are served, in memory: settings, documents and signing keys.

Metadata and keys are answered from here, so they go on while the database is away. A change bumps the counter
``issuer/<name>``; whoever watches the counters calls :meth:`Issuers.reload`.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal, Protocol

from portico.crypto.keyring import Keyring
from portico.crypto.signing import SigningKey
from portico.issuer.provider import Provider
from portico.issuer.providers import Providers
from portico.model.errors import Forbidden, KeysUnavailable, SealError
from portico.model.secret import Secret
from portico.oauth.connector_settings import CONNECTOR_SECRET, ConnectorSettings
from portico.oauth.issuer_settings import IssuerSettings, parse_issuer_settings
from portico.oauth.jwk import VerificationKey, load_keys
from portico.oauth.metadata import authorization_server_metadata, issuer_url, openid_configuration
from portico.storage import issuers, signing_keys
from portico.storage.engine import Database
from portico.storage.issuers import IssuerRow
from portico.storage.signing_keys import SigningKeyRow

PURPOSE: Final = "signing-key"  #: of the seal; ``issuer|kid`` is its associated data

#: What access tokens are: our own; our own with the provider's sealed inside; or the provider's as they are.
TokenMode = Literal["own", "wrap", "passthrough"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Issuer:
    """One issuer, compiled."""

    settings: IssuerSettings
    url: str  #: byte for byte what stands in metadata, redirects and tokens
    metadata: bytes
    openid_configuration: bytes
    jwks: bytes
    verification_keys: Mapping[str, VerificationKey]  #: by key id; the same as in ``jwks``
    signing_key: SigningKey | None = field(repr=False)
    providers: Mapping[str, Provider] = field(repr=False)  #: by connector; without those whose secret cannot be had
    tokens: TokenMode = "own"

    @property
    def name(self) -> str:
        """The name in its path."""
        return self.settings.name

    @property
    def title(self) -> str:
        """What its pages are called."""
        return self.settings.title or "Portico"

    @property
    def local(self) -> bool:
        """Whether people log in with a password of ours."""
        return any(connector.type == "local" for connector in self.settings.connectors) or not self.settings.connectors

    @property
    def connectors(self) -> tuple[ConnectorSettings, ...]:
        """The identity providers that people may log in with, in order."""
        return tuple(connector for connector in self.settings.connectors if connector.type != "local")

    def provider(self, connector: str) -> Provider:
        """Return the provider behind a connector.

        Raises:
            Forbidden: there is none of that name (any more).
            KeysUnavailable: its secret cannot be opened.
        """
        if all(one.name != connector for one in self.connectors):
            raise Forbidden("This way to log in is not offered any more.", detail=f"connector {connector!r}")
        provider = self.providers.get(connector)
        if provider is None:
            raise KeysUnavailable("This way to log in is not available right now.", detail=f"connector {connector!r}")
        return provider

    def key(self) -> SigningKey:
        """Return the key that signs.

        Raises:
            KeysUnavailable: there is none; nothing is ever issued unsigned.
        """
        if self.signing_key is None:
            raise KeysUnavailable("This issuer has no signing key yet.", detail=f"issuer {self.name}")
        return self.signing_key


class IssuerSource(Protocol):
    """Gives the issuers that are served."""

    def get(self, name: str) -> Issuer | None:
        """Return an issuer, None when there is none of that name."""
        ...


class Issuers:
    """Every issuer of a database by name; each is replaced as a whole."""

    def __init__(self, database: Database, keyring: Keyring, providers: Providers, *, public_url: str) -> None:
        self._database = database
        self._keyring = keyring
        self._providers = providers
        self._public_url = public_url
        self._issuers: dict[str, Issuer] = {}

    def get(self, name: str) -> Issuer | None:
        """Return an issuer, None when there is none of that name."""
        return self._issuers.get(name)

    @property
    def names(self) -> frozenset[str]:
        """The names of all."""
        return frozenset(self._issuers)

    async def load_all(self) -> None:
        """Read every issuer.

        Raises:
            StorageUnavailable: the database cannot be reached; what was loaded before stays.
        """
        async with self._database.read() as conn:
            rows = await issuers.list_all(conn)
            keys = await signing_keys.list_all(conn)
        self._issuers = {row.name: self._compile(row, [key for key in keys if key.issuer == row.name]) for row in rows}

    async def reload(self, name: str) -> None:
        """Read one issuer again: its settings or keys changed, or it is gone.

        Raises:
            StorageUnavailable: the database cannot be reached; what was loaded before stays.
        """
        async with self._database.read() as conn:
            row = await issuers.get(conn, name)
            keys = await signing_keys.list_all(conn, issuer=name)
        if row is None:
            self._issuers.pop(name, None)
        else:
            self._issuers[name] = self._compile(row, keys)

    def _compile(self, row: IssuerRow, keys: list[SigningKeyRow]) -> Issuer:
        settings = parse_issuer_settings(row.name, row.document)
        return compile_issuer(
            settings,
            issuer_url(self._public_url, row.name),
            keys=[key.public_jwk for key in keys],
            signing_key=self._current(keys),
            providers=self._providers,
            secrets=self._secrets(settings),
        )

    def _secrets(self, settings: IssuerSettings) -> dict[str, Secret]:
        """Open the secrets of connectors; one whose sealing key was dropped is left out, and so its connector is."""
        opened: dict[str, Secret] = {}
        for connector in settings.connectors:
            if not connector.client_secret:
                opened[connector.name] = Secret("")
                continue
            aad = f"{settings.name}|{connector.name}".encode()
            try:
                secret = self._keyring.open(CONNECTOR_SECRET, connector.client_secret, aad=aad).decode()
            except SealError:
                continue
            opened[connector.name] = Secret(secret)
        return opened

    def _current(self, keys: list[SigningKeyRow]) -> SigningKey | None:
        current = next((key for key in keys if key.state == "current"), None)
        if current is None:
            return None
        try:
            private = self._keyring.open(PURPOSE, current.sealed, aad=f"{current.issuer}|{current.kid}".encode())
        except SealError:  # its sealing key was dropped: 503 until a new signing key is made, never unsigned
            return None
        return SigningKey.from_private_json(private)


def compile_issuer(
    settings: IssuerSettings,
    url: str,
    *,
    keys: Sequence[dict[str, Any]],
    signing_key: SigningKey | None,
    providers: Providers,
    secrets: Mapping[str, Secret],
    tokens: TokenMode = "own",
    machines: bool = True,
) -> Issuer:
    """Return an issuer as it is served.

    ``keys`` are the public JWKs; ``secrets`` those of connectors by name, one that is missing closes its connector.
    """
    key_set = {"keys": list(keys)}
    providing = [connector for connector in settings.connectors if connector.type != "local"]
    return Issuer(
        settings=settings,
        url=url,
        metadata=_json(authorization_server_metadata(url, settings, machines=machines)),
        openid_configuration=_json(openid_configuration(url, settings, machines=machines)),
        jwks=_json(key_set),
        verification_keys=load_keys(key_set).keys,
        signing_key=signing_key,
        providers={
            connector.name: providers.of(url, connector, secrets[connector.name], alone=len(providing) == 1)
            for connector in providing
            if connector.name in secrets
        },
        tokens=tokens,
    )


def _json(document: object) -> bytes:
    return json.dumps(document, separators=(",", ":")).encode()
