"""The issuer of a façade, and who is let in to the MCP server behind it: the one place that joins the two.

What a caller shows and what the server behind is called with, by token mode::

    own          our token; checked here; passed on, as that server trusts our issuer
    wrap         our token with the provider's sealed inside; checked here; the provider's goes on
    passthrough  the provider's token, for clients that call that server directly; checked there
"""

import hashlib
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import assert_never

from starlette.routing import Route

from portico.authorizer.authorizer import Authorizer, bearer_token
from portico.authorizer.keys import IssuerKeys
from portico.crypto.keyring import Keyring
from portico.facade.admitted import Admit, Admitted
from portico.issuer.clients import living
from portico.issuer.remembered import Remembered
from portico.issuer.sealed_app import KeyedIssuer, SealedIssuerApp
from portico.model.errors import InputError
from portico.model.gateway import JwtAuthorizer
from portico.model.principal import ANONYMOUS
from portico.model.secret import Secret
from portico.net.fetch import Fetcher
from portico.oauth.metadata import discovery_urls
from portico.oauth.resource import canonical_resource
from portico.service.facade_settings import FacadeSettings
from portico.storage.engine import Database


@dataclass(frozen=True, slots=True, kw_only=True)
class IssuerSide:
    """What there is once there are keys."""

    routes: Sequence[Route]  #: of the issuer, at the origin's root
    admit: Admit
    aclose: Callable[[], Awaitable[None]]


def make_issuer(
    settings: FacadeSettings,
    keyring: Keyring,
    fetcher: Fetcher,
    database: Database | None = None,
    *,
    clock: Callable[[], float] = time.time,
) -> IssuerSide:
    """Make the issuer and what judges its tokens; ``database`` is the store, if there is one.

    ``clock`` gives seconds since the epoch, to issue and to judge by.
    """
    remembered = Remembered(database, clock=clock)
    app = SealedIssuerApp(
        settings.issuer,
        tokens=settings.tokens,
        resource=settings.resource,
        direct_resources=_direct(settings),
        clients={row.client_id: client for row in settings.clients if (client := living(row)) is not None},
        keyring=keyring,
        fetcher=fetcher,
        remembered=remembered,
        public_url=settings.public_url,
        cookie_suffix=hashlib.sha256(settings.public_url.encode()).hexdigest()[:8],
        clock=clock,
    )
    authorizer = Authorizer(keys=_DerivedKeys(app.source, keyring), revocations=remembered, clock=clock)
    return IssuerSide(routes=app.routes(), admit=_admission(settings, app, authorizer, remembered), aclose=app.aclose)


def _admission(settings: FacadeSettings, app: SealedIssuerApp, authorizer: Authorizer, remembered: Remembered) -> Admit:
    rules = JwtAuthorizer(discovery_url=discovery_urls(settings.public_url)[0])
    audience = frozenset({settings.resource})

    async def admit(authorization: bytes | None) -> Admitted:
        token = bearer_token(authorization)
        if settings.tokens == "passthrough":
            # The provider's token: the server behind is its audience and judges it. Nothing of ours is opened by it.
            return Admitted(principal=ANONYMOUS, authorization=_bearer(token.decode("latin-1")))
        await remembered.catch_up()
        principal = await authorizer.authenticate(rules, audience=audience, authorization=authorization)
        match settings.tokens:
            case "own":
                passed = token.decode("ascii")
            case "wrap":
                passed = (await app.wrapping.unwrap(principal.issuer, principal.claims)).reveal()
            case _:
                assert_never(settings.tokens)
        return Admitted(principal=principal, authorization=_bearer(passed))

    return admit


class _DerivedKeys:
    """A :class:`~portico.authorizer.keys.KeySource` of the one issuer, whose keys come from the keyring."""

    def __init__(self, source: KeyedIssuer, keyring: Keyring) -> None:
        self._source = source
        self._keyring = keyring

    async def keys_for(self, discovery_url: str, *, kid: str | None = None) -> IssuerKeys:  # noqa: ARG002 - there is one
        issuer = self._source.current()
        if kid and kid not in issuer.verification_keys and self._keyring.look_again():
            issuer = self._source.current()  # another replica signs with a key that was not read here yet
        return IssuerKeys(issuer=issuer.url, own=True, keys=issuer.verification_keys)


def _direct(settings: FacadeSettings) -> tuple[str, ...]:
    """Return the server behind by its own URL: with ``passthrough`` clients may call it there (RFC 8707)."""
    if settings.tokens != "passthrough":
        return ()
    try:
        return (canonical_resource(settings.upstream.url.partition("?")[0]),)
    except InputError:  # a URL that can be called and is too long to be named
        return ()


def _bearer(token: str) -> Secret:
    return Secret(f"Bearer {token}")
