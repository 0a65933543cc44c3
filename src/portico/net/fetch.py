"""Fetches of metadata, keys and tokens through one library client (aiohttp), under the same egress rule as calls.

No redirect is followed (incidents T16, T17), no cookie is kept, no environment variable is read, nothing is
decompressed, and no connection outlives its fetch.
"""

import asyncio
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult

from portico.model.errors import UpstreamError, UpstreamInvalid, UpstreamTimeout, UpstreamTooLarge, UpstreamUnreachable
from portico.net.egress import Egress
from portico.net.origin import parse_origin

MAX_HEAD_BYTES: Final = 16 * 1024  #: of one header
READ_SIZE: Final = 16 * 1024
MAX_CONNECTIONS: Final = 20  #: at once

_NO_HEADERS: Final[Mapping[str, str]] = {}


@dataclass(frozen=True, slots=True, kw_only=True)
class Fetched:
    """A complete answer."""

    status: int
    headers: Mapping[str, str]  #: names in lower case, the last one of a name
    body: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class _Bounds:
    max_bytes: int
    seconds: float
    allow_private: bool


class Fetcher:
    """Fetches documents and posts forms. Lives on one event loop."""

    def __init__(self, *, egress: Egress) -> None:
        """Take the rule that every URL and every dialled address must pass."""
        self._egress = egress
        self._sessions: dict[tuple[bool, bool], aiohttp.ClientSession] = {}

    async def get(
        self,
        url: str,
        *,
        max_bytes: int,
        timeout: float,  # noqa: ASYNC109 - becomes the asyncio.timeout of the whole fetch
        allow_private: bool,
        accept: str = "application/json",
        headers: Mapping[str, str] = _NO_HEADERS,
    ) -> Fetched:
        """Fetch ``url``; any status is an answer, redirects included.

        Raises:
            EgressDenied: the URL or the address may not be called.
            UpstreamUnreachable: no connection, or it broke.
            UpstreamTimeout: not complete after ``timeout`` seconds.
            UpstreamInvalid: the answer is not acceptable HTTP.
            UpstreamTooLarge: the body is longer than ``max_bytes``.
        """
        bounds = _Bounds(max_bytes=max_bytes, seconds=timeout, allow_private=allow_private)
        return await self._request("GET", url, {"Accept": accept, **headers}, None, bounds)

    async def post_form(
        self,
        url: str,
        form: Mapping[str, str],
        *,
        headers: Mapping[str, str],
        max_bytes: int,
        timeout: float,  # noqa: ASYNC109 - becomes the asyncio.timeout of the whole fetch
        allow_private: bool,
    ) -> Fetched:
        """Post ``form`` as ``application/x-www-form-urlencoded``; raises what :meth:`get` raises."""
        bounds = _Bounds(max_bytes=max_bytes, seconds=timeout, allow_private=allow_private)
        return await self._request("POST", url, {"Accept": "application/json", **headers}, form, bounds)

    async def aclose(self) -> None:
        """Close everything. Idempotent."""
        sessions = tuple(self._sessions.values())
        self._sessions.clear()
        for session in sessions:
            await session.close()

    async def _request(
        self, method: str, url: str, headers: Mapping[str, str], form: Mapping[str, str] | None, bounds: "_Bounds"
    ) -> Fetched:
        self._egress.check_url(url, allow_private=bounds.allow_private)
        session = self._session(allow_private=bounds.allow_private, plain=parse_origin(url).scheme == "http")
        try:
            async with (
                asyncio.timeout(bounds.seconds),
                session.request(method, url, headers=headers, data=form, allow_redirects=False) as response,
            ):
                return await _read(response, bounds.max_bytes)
        except UpstreamError:  # the egress rule, asked by the resolver
            raise
        except TimeoutError as error:
            raise UpstreamTimeout("There was no complete answer in time.", detail=url) from error
        except (aiohttp.ClientResponseError, aiohttp.ClientPayloadError, aiohttp.InvalidURL) as error:
            raise UpstreamInvalid("The answer is not valid HTTP.", detail=f"{url}: {error}") from error
        except aiohttp.ClientSSLError as error:
            raise UpstreamUnreachable("The server's certificate was not accepted.", detail=str(error)) from error
        except (aiohttp.ClientError, OSError) as error:
            raise UpstreamUnreachable("The server cannot be reached.", detail=f"{url}: {error}") from error

    def _session(self, *, allow_private: bool, plain: bool) -> aiohttp.ClientSession:
        session = self._sessions.get((allow_private, plain))
        if session is None:
            session = _open_session(_Pinned(self._egress, allow_private=allow_private, plain=plain))
            self._sessions[allow_private, plain] = session
        return session


class _Pinned(AbstractResolver):
    """Resolves through the egress rule, and checks once more when a socket is made: literal addresses come here too."""

    def __init__(self, egress: Egress, *, allow_private: bool, plain: bool) -> None:
        self._egress = egress
        self._allow_private = allow_private
        self._plain = plain

    async def resolve(
        self,
        host: str,
        port: int = 0,
        family: socket.AddressFamily = socket.AF_INET,  # noqa: ARG002 - the interface of aiohttp
    ) -> list[ResolveResult]:
        addresses = await self._egress.resolve(host, port, allow_private=self._allow_private, plain=self._plain)
        return [
            ResolveResult(
                hostname=host,
                host=address,
                port=port,
                family=socket.AF_INET6 if ":" in address else socket.AF_INET,
                proto=0,
                flags=socket.AI_NUMERICHOST,
            )
            for address in addresses
        ]

    async def close(self) -> None:
        """Nothing is held."""

    def make_socket(self, info: tuple[int, int, int, str, tuple[Any, ...]]) -> socket.socket:
        """Make the socket for an address, which passes the rule or is not dialled."""
        family, kind, protocol, _, address = info
        self._egress.check_address(str(address[0]), allow_private=self._allow_private, plain=self._plain)
        return socket.socket(family, kind, protocol)


def _open_session(pinned: _Pinned) -> aiohttp.ClientSession:
    connector = aiohttp.TCPConnector(
        resolver=pinned,
        socket_factory=pinned.make_socket,
        use_dns_cache=False,
        force_close=True,
        limit=MAX_CONNECTIONS,
    )
    return aiohttp.ClientSession(
        connector=connector,
        cookie_jar=aiohttp.DummyCookieJar(),
        timeout=aiohttp.ClientTimeout(total=None),  # asyncio.timeout bounds the whole fetch
        auto_decompress=False,
        trust_env=False,
        max_line_size=MAX_HEAD_BYTES,
        max_field_size=MAX_HEAD_BYTES,
        headers={"Accept-Encoding": "identity", "User-Agent": "portico"},
    )


async def _read(response: aiohttp.ClientResponse, max_bytes: int) -> Fetched:
    if response.headers.get("Content-Encoding", "identity").lower() != "identity":
        raise UpstreamInvalid("The answer is compressed although that was not asked for.")
    body = bytearray()
    async for chunk in response.content.iter_chunked(READ_SIZE):
        body += chunk
        if len(body) > max_bytes:
            raise UpstreamTooLarge(f"The answer is larger than {max_bytes} bytes.")
    headers = {name.lower(): value for name, value in response.headers.items()}
    return Fetched(status=response.status, headers=headers, body=bytes(body))
