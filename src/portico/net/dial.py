"""Making a connection: checked address, optional CONNECT proxy, optional TLS."""

import asyncio
import socket
import ssl
from pathlib import Path
from typing import Final

import httptools

from portico.model.errors import UpstreamInvalid, UpstreamUnreachable
from portico.net.connection import Connection
from portico.net.egress import Egress
from portico.net.origin import Origin

MAX_PROXY_HEAD: Final = 16 * 1024  #: bytes of a proxy's answer to CONNECT
PROXY_READ: Final = 4096  #: bytes read from it at once


class Dialer:
    """Connects to origins; keeps one TLS context per CA file."""

    def __init__(self, egress: Egress) -> None:
        self._egress = egress
        self._contexts: dict[tuple[str, int], ssl.SSLContext] = {}

    async def connect(
        self,
        connection: Connection,
        origin: Origin,
        *,
        allow_private: bool,
        ca_file: str,
        proxy: Origin | None,
        deadline: float,
    ) -> None:
        """Attach ``connection`` to ``origin``; the TLS server name stays the host name.

        The caller bounds the time; ``deadline`` (event loop's clock) only divides it between addresses. Names are
        resolved and checked here also behind a proxy, which is asked for the checked address: otherwise the proxy's
        resolver could lead past the egress rule.

        Raises:
            EgressDenied: the address may not be dialled.
            UpstreamUnreachable: nobody there, or TLS was not agreed on.
            UpstreamInvalid: the proxy does not speak HTTP.
        """
        addresses = await self._egress.resolve(
            origin.host, origin.port, allow_private=allow_private, plain=origin.scheme == "http"
        )
        context = self._context(ca_file) if origin.scheme == "https" else None
        sock = await self._socket(addresses, origin.port, proxy, deadline)
        try:
            await asyncio.get_running_loop().create_connection(
                lambda: connection, sock=sock, ssl=context, server_hostname=origin.host if context else None
            )
        except BaseException as error:
            connection.abort()
            sock.close()
            if isinstance(error, OSError):
                raise _not_connected(error) from error
            raise

    async def _socket(self, addresses: list[str], port: int, proxy: Origin | None, deadline: float) -> socket.socket:
        if proxy is None:
            return await _first_to_answer(addresses, port, deadline)
        # The proxy is the administrator's choice and mostly at a private address; metadata services stay forbidden.
        hops = await self._egress.resolve(proxy.host, proxy.port, allow_private=True)
        sock = await _first_to_answer(hops, proxy.port, deadline)
        try:
            await _tunnel(sock, addresses[0], port)
        except BaseException:
            sock.close()
            raise
        return sock

    def _context(self, ca_file: str) -> ssl.SSLContext:
        """Return the context of a CA file (the system's CAs when empty), made anew when the file has changed."""
        try:
            key = (ca_file, Path(ca_file).stat().st_mtime_ns if ca_file else 0)
            context = self._contexts.get(key)
            if context is None:
                context = ssl.create_default_context(cafile=ca_file or None)
                context.set_alpn_protocols(["http/1.1"])
                self._contexts = {k: v for k, v in self._contexts.items() if k[0] != ca_file} | {key: context}
        except OSError as error:  # ssl.SSLError is one
            raise UpstreamUnreachable("The CA file cannot be read as PEM.", detail=f"{ca_file}: {error}") from error
        return context


def _not_connected(error: OSError) -> UpstreamUnreachable:
    if isinstance(error, ssl.SSLCertVerificationError):
        reason = "The server's certificate was not accepted; for a private CA name its file."
        return UpstreamUnreachable(reason, detail=str(error))
    if isinstance(error, ssl.SSLError):
        return UpstreamUnreachable("The server did not agree on TLS.", detail=str(error))
    return UpstreamUnreachable("The server did not complete the connection.", detail=str(error))


async def _first_to_answer(addresses: list[str], port: int, deadline: float) -> socket.socket:
    """Connect to the first address that accepts; each gets an equal share of the time that is left."""
    loop = asyncio.get_running_loop()
    failures: list[str] = []
    for number, address in enumerate(addresses):
        rest = len(addresses) - number
        share = (deadline - loop.time()) / rest if rest > 1 else None  # the last one has the caller's deadline
        try:
            async with asyncio.timeout(share):
                return await _connect(address, port)
        except OSError as error:  # TimeoutError is one
            failures.append(f"{address}: {error or 'timeout'}")
    raise UpstreamUnreachable("The server cannot be reached.", detail="; ".join(failures))


async def _connect(address: str, port: int) -> socket.socket:
    sock = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_STREAM)
    try:
        sock.setblocking(False)  # noqa: FBT003 - the socket module's own signature
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        await asyncio.get_running_loop().sock_connect(sock, (address, port))
    except BaseException:
        sock.close()
        raise
    return sock


async def _tunnel(sock: socket.socket, address: str, port: int) -> None:
    """Ask the proxy at the other end of ``sock`` for a tunnel (RFC 9110 section 9.3.6)."""
    loop = asyncio.get_running_loop()
    authority = f"[{address}]:{port}" if ":" in address else f"{address}:{port}"
    answer = _ProxyAnswer()
    received = 0
    try:
        await loop.sock_sendall(sock, f"CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n\r\n".encode())
        while answer.status is None:
            data = await loop.sock_recv(sock, PROXY_READ)
            received += len(data)
            if not data or received > MAX_PROXY_HEAD:
                raise UpstreamInvalid("The proxy did not answer with a complete HTTP head.")
            answer.feed(data)
    except httptools.HttpParserError as error:
        raise UpstreamInvalid("The proxy's answer is not valid HTTP.", detail=str(error)) from error
    except OSError as error:
        raise UpstreamUnreachable("The connection to the proxy broke.", detail=str(error)) from error
    if answer.status // 100 != 2:  # noqa: PLR2004 - any success
        raise UpstreamUnreachable("The proxy refused the tunnel.", detail=f"status {answer.status}")
    if answer.surplus:
        # Whoever speaks first in the tunnel is not an HTTP or TLS server; the bytes could pose as an answer.
        raise UpstreamInvalid("The proxy sent more than its answer.")


class _ProxyAnswer:
    """Listens to the parser until the head of the answer to CONNECT is complete."""

    def __init__(self) -> None:
        self._parser = httptools.HttpResponseParser(self)
        self.status: int | None = None
        self.surplus = False

    def feed(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_message_begin(self) -> None:
        self.surplus = self.status is not None

    def on_headers_complete(self) -> None:
        status = self._parser.get_status_code()
        if status >= 200:  # noqa: PLR2004 - interim answers do not count
            self.status = status

    def on_body(self, _body: bytes) -> None:
        self.surplus = True
