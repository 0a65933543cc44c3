"""Where the keys of issuers come from: the protocol, our own issuers' keys, and the choice between own and foreign."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from portico.model.errors import KeysUnavailable
from portico.oauth.jwk import VerificationKey, load_keys
from portico.oauth.metadata import ROOT, discovery_urls, issuer_named_by, issuer_url
from portico.storage import issuers, signing_keys
from portico.storage.engine import Database
from portico.storage.signing_keys import SigningKeyRow


@dataclass(frozen=True, slots=True, kw_only=True)
class IssuerKeys:
    """An issuer and the keys that its tokens may be signed with now."""

    issuer: str  #: byte for byte as in ``iss``
    own: bool  #: one of ours: its tokens must be ``at+jwt`` and name the gateway in ``aud``
    keys: Mapping[str, VerificationKey]

    def find(self, kid: str, alg: str) -> VerificationKey | None:
        """Return the key that a token's header points at; without ``kid`` the only one of the algorithm, if any."""
        if kid:
            return self.keys.get(kid)
        fitting = [key for key in self.keys.values() if alg in key.algorithms]
        return fitting[0] if len(fitting) == 1 else None


class KeySource(Protocol):
    """Gives the keys behind a gateway's ``discoveryUrl``."""

    async def keys_for(self, discovery_url: str, *, kid: str | None = None) -> IssuerKeys:
        """Return the issuer's keys; ``kid`` is one that a token names and that is worth looking for anew.

        Raises:
            KeysUnavailable: they cannot be had.
        """
        ...


class OwnKeys:
    """The keys of our own issuers, in memory, from storage. Portico never fetches from itself."""

    def __init__(self, database: Database, *, public_url: str) -> None:
        self._database = database
        self._public_url = public_url
        self._by_url: Mapping[str, IssuerKeys] = {}

    async def reload(self) -> None:
        """Read every issuer and key again; on failure what was read before stays.

        Raises:
            StorageUnavailable: the database cannot be reached.
        """
        async with self._database.read() as conn:
            names = [row.name for row in await issuers.list_all(conn)]
            rows = await signing_keys.list_all(conn)
        self._by_url = {
            url: keys
            for name in names
            for keys in [_own_keys(issuer_url(self._public_url, name), [row for row in rows if row.issuer == name])]
            for url in discovery_urls(keys.issuer)
        }

    def get(self, discovery_url: str) -> IssuerKeys | None:
        """Return the keys of the issuer of ours at ``discovery_url``, None when it is not one of ours."""
        return self._by_url.get(discovery_url)

    def claims(self, discovery_url: str) -> bool:
        """Tell whether ``discovery_url`` lies where only our issuers are, served or not."""
        return issuer_named_by(discovery_url, self._public_url) is not None

    def issues(self, issuer: str) -> bool:
        """Tell whether only we may be ``issuer``."""
        return issuer == issuer_url(self._public_url, ROOT) or issuer.startswith(issuer_url(self._public_url, ""))

    async def keys_for(self, discovery_url: str, *, kid: str | None = None) -> IssuerKeys:  # noqa: ARG002 - KeySource
        """Return the keys of one of our issuers.

        Raises:
            KeysUnavailable: it is not one of ours.
        """
        keys = self.get(discovery_url)
        if keys is None:
            raise unavailable(f"No issuer is served at the gateway's discoveryUrl {discovery_url!r}; mend one of them.")
        return keys


class TrustedKeys:
    """Our own issuers' keys from memory, everybody else's through the network."""

    def __init__(self, own: OwnKeys, foreign: KeySource) -> None:
        self._own = own
        self._foreign = foreign

    async def keys_for(self, discovery_url: str, *, kid: str | None = None) -> IssuerKeys:
        """Return the issuer's keys; see :class:`KeySource`."""
        keys = self._own.get(discovery_url)
        if keys is not None:
            return keys
        if self._own.claims(discovery_url):
            return await self._own.keys_for(discovery_url, kid=kid)
        keys = await self._foreign.keys_for(discovery_url, kid=kid)
        if self._own.issues(keys.issuer):  # as a foreign one it would escape the audience rule for our own tokens
            raise unavailable(
                f"The gateway's discoveryUrl {discovery_url!r} is another spelling of one of ours; "
                f"write it as {keys.issuer}/.well-known/openid-configuration."
            )
        return keys


def unavailable(hint: str) -> KeysUnavailable:
    """Return the one answer when an issuer's keys cannot be had."""
    return KeysUnavailable(
        "The keys of the token's issuer cannot be had right now; try again later.", detail=hint, debug_hint=hint
    )


def _own_keys(issuer: str, rows: Sequence[SigningKeyRow]) -> IssuerKeys:
    """Keys of every state verify: ``next`` is published before it signs, ``previous`` while its tokens live."""
    return IssuerKeys(issuer=issuer, own=True, keys=load_keys({"keys": [row.public_jwk for row in rows]}).keys)
