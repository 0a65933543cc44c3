"""How the client proves who calls: a token, a machine's credentials, or a person in a browser."""

import webbrowser
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final, Literal
from urllib.parse import urlsplit

import click
import httpx2
from mcp.client.auth import OAuthClientProvider
from mcp.client.auth.extensions.client_credentials import ClientCredentialsOAuthProvider
from mcp.client.auth.utils import build_protected_resource_metadata_discovery_urls
from mcp.shared.auth import (
    AuthorizationCodeResult,
    OAuthClientInformationFull,
    OAuthClientMetadata,
    OAuthToken,
    ProtectedResourceMetadata,
)
from pydantic import AnyUrl, ValidationError

from portico.cli.client.callback import LoopbackCallback
from portico.cli.client.credentials import Login
from portico.model.errors import PorticoError
from portico.model.secret import Secret

DISCOVERY_TIMEOUT: Final = 10.0  #: seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class Bearer:
    """An access token that was got elsewhere."""

    token: Secret


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """Client credentials (RFC 6749 section 4.4)."""

    client_id: str
    client_secret: Secret
    scope: str = ""
    issuer: str = ""  #: the only authorization server that may see the secret; empty: the gateway's own origin's


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """A login in a browser, kept between commands."""

    ask: Literal["browser", "print", "never"]  #: open a browser, only print the link, or fail when not logged in
    anew: bool = False  #: log in again even when a login is kept


Access = Bearer | Machine | Person


class MemoryTokens:
    """Tokens of a machine, which can always get new ones: nothing is kept. The SDK's ``TokenStorage``."""

    def __init__(self) -> None:
        self._tokens: OAuthToken | None = None

    async def get_tokens(self) -> OAuthToken | None:
        """Return the tokens of this process."""
        return self._tokens

    async def set_tokens(self, tokens: OAuthToken) -> None:
        """Keep ``tokens`` while the process lives."""
        self._tokens = tokens

    async def get_client_info(self) -> OAuthClientInformationFull | None:
        """Return nothing: a machine was registered by an administrator."""
        return None

    async def set_client_info(self, client_info: OAuthClientInformationFull) -> None:
        """Do nothing, likewise."""


class BrowserLogin:
    """The person's part of the flow: shows the link, waits for the browser to come back."""

    def __init__(self, url: str, ask: Literal["browser", "print", "never"], callback: LoopbackCallback) -> None:
        self._url = url
        self._ask = ask
        self._callback = callback
        self.failure: PorticoError | None = None  #: why the flow ended; the SDK hands on less

    async def show(self, authorize_url: str) -> None:
        """Send the person to ``authorize_url``."""
        if self._ask == "never":
            self.failure = PorticoError(f"Not logged in. Run: portico login {self._url}")
            raise self.failure
        self._callback.expect(authorize_url)
        click.echo(f"Log in with your browser:\n\n  {authorize_url}\n", err=True)
        # The link comes from the server: it goes to a browser only as http(s), never to a shell (T6).
        if self._ask == "browser" and urlsplit(authorize_url).scheme in {"http", "https"}:
            webbrowser.open(authorize_url)

    async def wait(self) -> AuthorizationCodeResult:
        """Return what the browser brought."""
        try:
            return await self._callback.result()
        except PorticoError as error:
            self.failure = error
            raise


@asynccontextmanager
async def person_auth(
    url: str, person: Person, login: Login
) -> AsyncGenerator[tuple[OAuthClientProvider, BrowserLogin]]:
    """Yield the SDK's provider for a person; what it learns is kept in ``login``."""
    callback = LoopbackCallback()
    try:
        known = _loopback_port(await login.get_client_info())
        await callback.open(known)
        if person.anew:
            # Not every server takes any loopback port (RFC 8252 section 7.3): on another port, register anew.
            login.forget(registration=callback.port != known)
        browser = BrowserLogin(url, person.ask, callback)
        provider = OAuthClientProvider(
            server_url=url,
            client_metadata=OAuthClientMetadata(
                client_name="Portico command line",
                redirect_uris=[AnyUrl(callback.redirect_uri)],
                grant_types=["authorization_code", "refresh_token"],
                token_endpoint_auth_method="none",  # noqa: S106  # names a method
            ),
            storage=login,
            redirect_handler=browser.show,
            callback_handler=browser.wait,
        )
        login.restore(provider)
        yield provider, browser
        login.remember_server(provider)
    finally:
        await callback.aclose()


async def machine_auth(url: str, machine: Machine) -> OAuthClientProvider:
    """Return the SDK's provider for client credentials, bound to one authorization server."""
    return ClientCredentialsOAuthProvider(
        server_url=url,
        storage=MemoryTokens(),
        client_id=machine.client_id,
        client_secret=machine.client_secret.reveal(),
        scope=machine.scope or None,
        issuer=machine.issuer or await _issuer_at_home(url),
    )


async def _issuer_at_home(url: str) -> str:
    """Return the gateway's authorization server if it has the gateway's own origin.

    Otherwise the gateway would decide where the secret goes; then the person must name the issuer.
    """
    async with httpx2.AsyncClient(timeout=DISCOVERY_TIMEOUT) as http:
        for place in build_protected_resource_metadata_discovery_urls(None, url):
            answer = await http.get(place)
            if answer.is_success:
                break
        else:
            raise PorticoError(f"{url} publishes no resource metadata; name its authorization server with --issuer.")
    try:
        issuer = str(ProtectedResourceMetadata.model_validate_json(answer.content).authorization_servers[0])
    except (ValidationError, IndexError) as error:
        raise PorticoError(f"{url} publishes unusable resource metadata.", detail=place) from error
    if urlsplit(issuer)[:2] != urlsplit(url)[:2]:
        raise PorticoError(f"{url} sends its clients to {issuer}. If your secret is for that, add --issuer {issuer}")
    return issuer


def _loopback_port(client: OAuthClientInformationFull | None) -> int:
    """Return the port of the redirect that ``client`` was registered with, 0 when there is none."""
    if client is None or not client.redirect_uris:
        return 0
    return client.redirect_uris[0].port or 0
