"""One connection to an MCP endpoint, and what its failures mean in plain words."""

import logging
import re
from collections.abc import AsyncGenerator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from importlib.metadata import version
from typing import Final, cast

import httpx2
from mcp import MCPError
from mcp.client import Client
from mcp.client.auth import OAuthFlowError
from mcp.client.streamable_http import streamable_http_client
from mcp.types import Implementation

from portico.cli.client.access import Access, Bearer, BrowserLogin, Machine, Person, machine_auth, person_auth
from portico.cli.client.credentials import Login
from portico.model.errors import PorticoError

CONNECT_TIMEOUT: Final = 10.0  #: seconds
#: What the options call the protocol's eras → the SDK's mode.
PROTOCOLS: Final = {"auto": "auto", "legacy": "legacy", "modern": "2026-07-28"}

_DESCRIPTION = re.compile(r'error_description="([^"]*)"')


@dataclass(slots=True)
class _Witness:
    """Remembers the last refusal: the SDK reduces it to "Server returned an error response"."""

    status: int = 0
    description: str = ""
    browser: BrowserLogin | None = field(default=None)

    async def __call__(self, response: httpx2.Response) -> None:
        """Look at one response; an httpx2 event hook."""
        self.status = response.status_code
        found = _DESCRIPTION.search(response.headers.get("www-authenticate", ""))
        self.description = found[1] if found else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """Where to connect, and how."""

    url: str
    access: Access
    protocol: str  #: a key of :data:`PROTOCOLS`
    timeout: float  #: seconds that one request may take


@asynccontextmanager
async def connected(endpoint: Endpoint) -> AsyncGenerator[Client]:
    """Yield a client that is connected to ``endpoint``.

    Raises:
        PorticoError: whatever went wrong, in words that say what to do.
    """
    url = endpoint.url
    witness = _Witness()
    # The SDK logs what it also raises, with a traceback; the one line on stderr is ours.
    logging.getLogger("mcp").setLevel(logging.CRITICAL + 1)
    try:
        async with AsyncExitStack() as stack:
            http = await stack.enter_async_context(_http_client(endpoint.timeout, witness))
            match endpoint.access:
                case Bearer(token=token):
                    http.headers["Authorization"] = f"Bearer {token.reveal()}"
                case Machine() as machine:
                    http.auth = await machine_auth(url, machine)
                case Person() as person:
                    http.auth, witness.browser = await stack.enter_async_context(person_auth(url, person, Login(url)))
            client = Client(
                streamable_http_client(url, http_client=http),
                mode=PROTOCOLS[endpoint.protocol],
                read_timeout_seconds=endpoint.timeout,
                client_info=Implementation(name="portico-cli", version=version("portico")),
            )
            yield await stack.enter_async_context(client)
    except (MCPError, OAuthFlowError, httpx2.HTTPError, httpx2.InvalidURL, TimeoutError, PorticoError) as error:
        raise _explained(url, error, witness) from error
    except BaseExceptionGroup as group:
        raise _explained(url, _most_telling(group), witness) from group


def _http_client(timeout: float, witness: _Witness) -> httpx2.AsyncClient:
    return httpx2.AsyncClient(
        timeout=httpx2.Timeout(timeout, connect=CONNECT_TIMEOUT),
        event_hooks={"response": [witness]},
    )


def _leaves(group: BaseExceptionGroup[BaseException]) -> Iterator[BaseException]:
    for error in group.exceptions:
        if isinstance(error, BaseExceptionGroup):
            yield from _leaves(cast("BaseExceptionGroup[BaseException]", error))
        else:
            yield error


def _most_telling(group: BaseExceptionGroup[BaseException]) -> BaseException:
    leaves = list(_leaves(group))
    return next((error for error in leaves if isinstance(error, PorticoError)), leaves[0])


def _explained(url: str, error: BaseException, witness: _Witness) -> BaseException:
    """Return ``error`` as a :class:`PorticoError` that says what to do; itself when it is none of the expected."""
    if witness.browser is not None and witness.browser.failure is not None:
        return witness.browser.failure
    if isinstance(error, httpx2.HTTPError | httpx2.InvalidURL | TimeoutError):
        return _explained_http(url, error)
    match error:
        case OAuthFlowError():
            return PorticoError("Authorization failed.", detail=str(error))
        case MCPError():
            return _explained_rpc(url, error, witness)
        case _:
            return error


def _explained_http(url: str, error: httpx2.HTTPError | httpx2.InvalidURL | TimeoutError) -> PorticoError:
    match error:
        case httpx2.ConnectError():
            return PorticoError(f"Cannot connect to {url}. Is the gateway running there?", detail=str(error))
        case httpx2.TimeoutException() | TimeoutError():
            return PorticoError(f"{url} did not answer in time; a longer --timeout may help.")
        case _:
            return PorticoError(f"{url} cannot be reached.", detail=str(error))


def _explained_rpc(url: str, error: MCPError, witness: _Witness) -> PorticoError:
    if witness.status == HTTPStatus.UNAUTHORIZED:
        return PorticoError(f"{url} refused the token: {witness.description or error.message}")
    if witness.status == HTTPStatus.FORBIDDEN:
        return PorticoError(f"{url} does not allow this: {witness.description or error.message}")
    if witness.status == HTTPStatus.NOT_FOUND and error.message == "Not Found":
        return PorticoError(f"{url} is no MCP endpoint (HTTP 404). Check the URL.")
    return PorticoError(f"The gateway answered: {error.message}", detail=f"JSON-RPC {error.code}")
