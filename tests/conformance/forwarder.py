"""A reverse proxy that adds a bearer token, because the conformance suite's server leg cannot send one.

    CONFORMANCE_TOKEN=... python forwarder.py --listen PORT --to PORT

It stands where the public URL of the gateway says, as a proxy in front of a real one would. Everything else passes
byte by byte in both directions, ``Host`` and ``Origin`` above all: what the suite forges, the gateway must see. Each
connection carries one request, so that only one head has to be found.
"""

import argparse
import asyncio
import os
import re
from contextlib import suppress

CHUNK = 64 * 1024  #: bytes
MAX_HEAD = 64 * 1024  #: bytes
GATEWAYS = b"/g/"  #: issuers get what the suite sends

_END = b"\r\n\r\n"
_CONNECTION = re.compile(rb"\r\nconnection[ \t]*:[^\r\n]*", re.IGNORECASE)
_AUTHORIZATION = re.compile(rb"\r\nauthorization[ \t]*:[^\r\n]*", re.IGNORECASE)


def with_token(head: bytes, token: str) -> bytes:
    """Return a request's head without a promise of further requests, and with our token when a gateway is asked."""
    head = _CONNECTION.sub(b"", head.removesuffix(_END)) + b"\r\nconnection: close"
    if head.split(b" ", 2)[1].startswith(GATEWAYS):
        head = _AUTHORIZATION.sub(b"", head) + b"\r\nauthorization: Bearer " + token.encode()
    return head + _END


async def _pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    while chunk := await source.read(CHUNK):
        sink.write(chunk)
        await sink.drain()


async def forward(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, port: int, token: str) -> None:
    """Carry one request and its answer; whichever side closes first closes the other."""
    upstream_writer = None
    try:
        head = await reader.readuntil(_END)
        upstream, upstream_writer = await asyncio.open_connection("127.0.0.1", port)
        upstream_writer.write(with_token(head, token))
        ways = [asyncio.ensure_future(_pump(reader, upstream_writer)), asyncio.ensure_future(_pump(upstream, writer))]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)
    except (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
        return  # a broken connection is passed on by closing the other one
    finally:
        for end in (writer, upstream_writer):
            if end is not None:
                with suppress(OSError):
                    end.close()


async def serve(listen: int, to: int, token: str) -> None:
    """Forward until terminated."""

    async def one(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await forward(reader, writer, port=to, token=token)

    server = await asyncio.start_server(one, "127.0.0.1", listen, limit=MAX_HEAD)
    await server.serve_forever()


def main() -> None:
    """Read the command line and forward."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--listen", type=int, required=True)
    parser.add_argument("--to", type=int, required=True)
    options = parser.parse_args()
    asyncio.run(serve(options.listen, options.to, os.environ["CONFORMANCE_TOKEN"]))


if __name__ == "__main__":
    main()
