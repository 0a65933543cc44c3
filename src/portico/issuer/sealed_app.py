"""One issuer without a database: the façade's. Its signing keys are derived from the keyring, alike on each replica."""

import os
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from starlette.routing import Route

from portico.crypto.keyring import Keyring
from portico.crypto.signing import SEED_BYTES, SigningKey
from portico.issuer import register
from portico.issuer.app import issuer_routes
from portico.issuer.client_documents import ClientDocuments
from portico.issuer.outreach import Outreach
from portico.issuer.powers import Powers
from portico.issuer.providers import Providers
from portico.issuer.redeem import Means
from portico.issuer.remembered import Remembered
from portico.issuer.sealed import SealedLedger
from portico.issuer.store import Issuer, TokenMode, compile_issuer
from portico.issuer.throttle import RateLimit
from portico.issuer.wrapping import Wrapping
from portico.model.secret import Secret
from portico.net.fetch import Fetcher
from portico.oauth.client import Client
from portico.oauth.issuer_settings import IssuerSettings
from portico.oauth.metadata import ROOT, issuer_url
from portico.web.cookies import Cookies
from portico.web.pages import Pages
from portico.web.sessions import Sessions

_SIGNING: Final = "signing-key"  #: purpose of the derived keys; the issuer's URL belongs to it


class SealedIssuerApp:
    """The issuer at the origin itself."""

    def __init__(
        self,
        settings: IssuerSettings,
        *,
        tokens: TokenMode,
        resource: str,
        direct_resources: Sequence[str] = (),
        clients: Mapping[str, Client],
        keyring: Keyring,
        fetcher: Fetcher,
        remembered: Remembered,
        public_url: str,
        cookie_suffix: str,
        clock: Callable[[], float] = time.time,
        random: Callable[[int], bytes] = os.urandom,
    ) -> None:
        """Take the powers. ``clients`` are those of the configuration, ``resource`` the one that tokens are for.

        ``direct_resources`` may be asked for too: servers that clients call without us, with the provider's tokens.
        """
        self._providers = Providers(fetcher, clock=clock)
        self._documents = ClientDocuments(fetcher, clock=clock)
        self._remembered = remembered
        self.source = KeyedIssuer(settings, public_url, keyring, self._providers, tokens)
        self.wrapping = Wrapping(keyring, remembered, random=random)
        means = Means(keyring=keyring, clock=clock, random=random)
        self._ledger = SealedLedger(means, self._documents, remembered, clients, default_resource=resource)
        self._powers = Powers(
            public_url=public_url,
            keyring=keyring,
            issuers=self.source,
            ledger=self._ledger,
            local=None,
            wrapping=self.wrapping,
            resources=lambda _issuer: (resource, *direct_resources),
            resource_name=lambda _resource: settings.title,
            clock=clock,
            random=random,
            pages=Pages(["portico.issuer"]),
            cookies=Cookies(public_url, cookie_suffix),
            sessions=Sessions(keyring, random=random),
            registrations=RateLimit(burst=register.BURST, per_second=register.PER_SECOND),
            outreach=Outreach(self._documents, clock=clock),
        )

    def routes(self) -> list[Route]:
        """Return the routes, at the origin's root."""
        return issuer_routes(self._powers)

    async def aclose(self) -> None:
        """Wait for what must not be given up half-way, and stop the rest."""
        await self._ledger.aclose()
        await self._remembered.aclose()
        await self._documents.aclose()
        await self._providers.aclose()


class KeyedIssuer:
    """An :class:`~portico.issuer.store.IssuerSource` of one issuer, compiled anew when the keyring's keys change."""

    def __init__(
        self, settings: IssuerSettings, public_url: str, keyring: Keyring, providers: Providers, tokens: TokenMode
    ) -> None:
        self._settings = settings
        self._url = issuer_url(public_url, ROOT)
        self._keyring = keyring
        self._providers = providers
        self._tokens: TokenMode = tokens
        self._made: tuple[object, Issuer] | None = None

    def get(self, name: str) -> Issuer | None:
        """Return the issuer, None when another one is meant."""
        return self.current() if name == ROOT else None

    def current(self) -> Issuer:
        """Return the issuer with the keys of this moment."""
        state = (self._keyring.kids, self._keyring.retired)
        if self._made is None or self._made[0] != state:
            self._made = (state, self._compile())
        return self._made[1]

    def _compile(self) -> Issuer:
        seeds = self._keyring.derive(f"{_SIGNING}|{self._url}", SEED_BYTES)
        keys = [SigningKey.derived(seed) for seed in seeds.values()]
        return compile_issuer(
            self._settings,
            self._url,
            keys=_public(keys),
            signing_key=keys[0],
            providers=self._providers,
            secrets={one.name: Secret(one.client_secret) for one in self._settings.connectors},
            tokens=self._tokens,
            machines=False,
        )


def _public(keys: Sequence[SigningKey]) -> list[dict[str, Any]]:
    return [key.public_jwk() for key in keys]
