"""An identity provider as the issuer uses it: one connector of one issuer, over the network."""

import time
from collections.abc import Callable, Sequence

from portico.model.secret import Secret
from portico.net.fetch import Fetcher
from portico.oauth.connector_settings import ConnectorSettings
from portico.oauth.parameters import Parameters
from portico.oauth.upstream import Person, ProviderLogin, ProviderRequest, ProviderTokens


class Provider:
    """One provider. Everything it says is judged; nothing that it says reaches a client as it stands."""

    def __init__(
        self,
        settings: ConnectorSettings,
        *,
        secret: Secret,
        fetcher: Fetcher,
        redirect_uri: str,
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """Take the connector, its secret in clear (empty: none), and our own callback's URL.

        ``clock`` judges tokens (seconds since the epoch), ``monotonic`` ages what is cached. Nothing is fetched yet.
        """
        self.settings = settings
        self._secret = secret
        self._fetcher = fetcher
        self._redirect_uri = redirect_uri
        self._clock = clock
        self._monotonic = monotonic

    async def authorization_url(self, asked: ProviderRequest) -> str:
        """Return where the person's browser goes.

        Raises:
            TemporarilyUnavailable: the provider's metadata cannot be had.
            ServerError: they are not usable.
        """
        raise NotImplementedError

    async def judge_callback(self, parameters: Parameters) -> str:
        """Return the provider's code; ``state`` was judged by the caller.

        Raises:
            Forbidden: ``iss`` is wrong, or missing although the provider sends it (RFC 9207): show a page.
            AccessDenied, ServerError, TemporarilyUnavailable: the provider's error, in our words: tell the client.
        """
        raise NotImplementedError

    async def exchange(self, code: str, *, verifier: str, nonce: str, resource: str = "") -> ProviderLogin:
        """Redeem a code and judge who it is.

        Raises:
            InvalidGrant: the provider says that the code is over, used or not for this verifier.
            AccessDenied: this account may not log in here.
            ServerError, TemporarilyUnavailable: the provider is at fault, or how it is set up.
        """
        raise NotImplementedError

    async def refresh(self, refresh_token: Secret, *, scopes: Sequence[str] = (), resource: str = "") -> ProviderTokens:
        """Return new tokens; ``scopes`` (ours) and ``resource`` are those that were granted.

        Raises:
            InvalidGrant: the provider says so: the login is over. Nothing else forgets it.
            ServerError, TemporarilyUnavailable: the provider is at fault, or how it is set up.
        """
        raise NotImplementedError

    async def verify(self, access_token: Secret) -> Person:
        """Ask the provider whose token this is now: for providers that give no refresh tokens (GitHub).

        Raises:
            InvalidGrant: the provider refuses the token.
            AccessDenied: this account may not log in here (any more).
            ServerError, TemporarilyUnavailable: the provider is at fault.
        """
        raise NotImplementedError

    async def revoke(self, token: Secret) -> None:
        """Revoke a refresh token where the provider can (RFC 7009): best effort, bounded, raises nothing of it."""
        raise NotImplementedError

    async def logout_url(self, *, after: str) -> str:
        """Return where a browser goes to log out at the provider and come back to ``after``; empty: nowhere."""
        raise NotImplementedError

    async def aclose(self) -> None:
        """Stop what is on its way."""
