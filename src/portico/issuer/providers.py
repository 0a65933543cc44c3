"""The clients of identity providers, one for each connector; each lives on for as long as its settings stay."""

import time
from collections.abc import Callable

from portico.issuer.provider import Provider
from portico.model.secret import Secret
from portico.net.fetch import Fetcher
from portico.oauth.connector_settings import ConnectorSettings


class Providers:
    """Makes providers, and gives the same one again so that what it learnt of the provider stays."""

    def __init__(self, fetcher: Fetcher, *, clock: Callable[[], float] = time.time) -> None:
        self._fetcher = fetcher
        self._clock = clock
        self._made: dict[tuple[str, str], tuple[ConnectorSettings, Secret, Provider]] = {}

    def of(self, issuer: str, settings: ConnectorSettings, secret: Secret) -> Provider:
        """Return the provider of a connector of the issuer whose URL is given."""
        before = self._made.get((issuer, settings.name))
        if before is not None and before[:2] == (settings, secret):
            return before[2]
        made = Provider(
            settings, secret=secret, fetcher=self._fetcher, redirect_uri=f"{issuer}/callback", clock=self._clock
        )
        self._made[issuer, settings.name] = (settings, secret, made)
        return made

    async def aclose(self) -> None:
        """Stop what is on its way."""
        for _, _, provider in self._made.values():
            await provider.aclose()
        self._made.clear()
