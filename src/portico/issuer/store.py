"""The issuers that are served, in memory: settings, documents and signing keys.

Metadata and keys are answered from here, so they go on while the database is away. A change bumps the counter
``issuer/<name>``; whoever watches the counters calls :meth:`Issuers.reload`.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field

from portico.crypto.keyring import Keyring
from portico.crypto.signing import SigningKey
from portico.model.errors import KeysUnavailable, SealError
from portico.oauth.issuer_settings import IssuerSettings, parse_issuer_settings
from portico.oauth.jwk import VerificationKey, load_keys
from portico.oauth.metadata import authorization_server_metadata, issuer_url, openid_configuration
from portico.storage import issuers, signing_keys
from portico.storage.engine import Database
from portico.storage.issuers import IssuerRow
from portico.storage.signing_keys import SigningKeyRow

PURPOSE = "signing-key"  #: of the seal; ``issuer|kid`` is its associated data


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

    @property
    def name(self) -> str:
        """The name in its path."""
        return self.settings.name

    @property
    def title(self) -> str:
        """What its pages are called."""
        return self.settings.title or "Portico"

    def key(self) -> SigningKey:
        """Return the key that signs.

        Raises:
            KeysUnavailable: there is none; nothing is ever issued unsigned.
        """
        if self.signing_key is None:
            raise KeysUnavailable("This issuer has no signing key yet.", detail=f"issuer {self.name}")
        return self.signing_key


class Issuers:
    """Every issuer by name; each is replaced as a whole."""

    def __init__(self, database: Database, keyring: Keyring, *, public_url: str) -> None:
        self._database = database
        self._keyring = keyring
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
        url = issuer_url(self._public_url, row.name)
        key_set = {"keys": [key.public_jwk for key in keys]}
        return Issuer(
            settings=settings,
            url=url,
            metadata=_json(authorization_server_metadata(url, settings)),
            openid_configuration=_json(openid_configuration(url, settings)),
            jwks=_json(key_set),
            verification_keys=load_keys(key_set).keys,
            signing_key=self._current(keys),
        )

    def _current(self, keys: list[SigningKeyRow]) -> SigningKey | None:
        current = next((key for key in keys if key.state == "current"), None)
        if current is None:
            return None
        try:
            private = self._keyring.open(PURPOSE, current.sealed, aad=f"{current.issuer}|{current.kid}".encode())
        except SealError:  # its sealing key was dropped: 503 until a new signing key is made, never unsigned
            return None
        return SigningKey.from_private_json(private)


def _json(document: object) -> bytes:
    return json.dumps(document, separators=(",", ":")).encode()
