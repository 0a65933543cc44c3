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
        self._made: dict[tuple[str, str], tuple[Secret, Provider]] = {}

    def of(self, issuer: str, settings: ConnectorSettings, secret: Secret, *, alone: bool) -> Provider:
        """Return the provider of a connector of the issuer whose URL is given; ``alone``: it has no other one."""
        redirect_uri = callback_url(issuer, "" if alone else settings.name)
        before = self._made.get((issuer, settings.name))
        if before is not None:
            known_secret, known = before
            if (known.settings, known_secret, known.redirect_uri) == (settings, secret, redirect_uri):
                return known
        made = Provider(settings, secret=secret, fetcher=self._fetcher, redirect_uri=redirect_uri, clock=self._clock)
        self._made[issuer, settings.name] = (secret, made)
        return made

    async def aclose(self) -> None:
        """Stop what is on its way."""
        for _, provider in self._made.values():
            await provider.aclose()
        self._made.clear()


def callback_url(issuer: str, connector: str) -> str:
    """Return where a provider sends people back to; with ``connector``, a place that is this one's alone.

    An answer without ``iss`` could be any provider's. One that is hostile, or was taken over, could send a person on to
    another provider of the same issuer and be handed the code of that login (mix-up). Where there are several, each has
    its own place, which the others do not know as ours (RFC 9700 section 4.4.2.2).
    """
    return f"{issuer}/callback/{connector}" if connector else f"{issuer}/callback"
