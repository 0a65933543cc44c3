"""A proxy in front of a server that writes what a test wants, served by the server that production runs."""

import asyncio
import contextlib
from dataclasses import dataclass, field

import aiohttp

from net.raw_server import RawServer
from portico.facade.admitted import Admitted
from portico.facade.challenges import Challenges
from portico.facade.proxy import Proxy, Upstream
from portico.model.errors import InvalidToken, MissingToken
from portico.model.principal import Principal
from portico.model.secret import Secret
from portico.net.egress import Egress
from portico.net.relay import Relay
from portico.service.app import App
from portico.service.keys import Listen
from portico.service.server import Server, bind
from portico.web.asgi import send_response
from portico.web.cors import policy_for

BOUND = 30.0  #: seconds
PUBLIC = "https://facade.example"
METADATA = f"{PUBLIC}/.well-known/oauth-protected-resource/mcp"
OURS = "Bearer ours"
THEIRS = "Bearer theirs"
GOOD = {"Authorization": OURS}
PERSON = Principal(kind="user", issuer=PUBLIC, subject="ada", client_id="claude")


@dataclass
class Door:
    """Judges callers as a test wants, and writes down what it was shown."""

    shown: list = field(default_factory=list)
    error: Exception | None = None
    authorization: Secret = field(default_factory=lambda: Secret(THEIRS))

    async def admit(self, authorization):
        self.shown.append(authorization)
        if self.error is not None:
            raise self.error
        if authorization is None:
            raise MissingToken("Send an access token.")
        if authorization != OURS.encode():
            raise InvalidToken("The token is not good.")
        return Admitted(principal=PERSON, authorization=self.authorization)


class Front:
    """Everything of one test: ``upstream`` behind, ``door`` before, ``url`` to call."""

    def __init__(self, upstream, relay, door, server, port):
        self.upstream = upstream
        self.relay = relay
        self.door = door
        self.server = server
        self.port = port
        self.url = f"http://127.0.0.1:{port}/mcp"

    @contextlib.asynccontextmanager
    async def asked(self, method="POST", headers=None, *, path="/mcp", data=b"{}"):
        """Send a request; the answer's body is still to be read."""
        async with asyncio.timeout(BOUND), aiohttp.ClientSession() as session:
            sent = list((GOOD if headers is None else headers).items()) if not isinstance(headers, list) else headers
            async with session.request(
                method,
                f"http://127.0.0.1:{self.port}{path}",
                headers=sent,
                data=data if method == "POST" else None,
                allow_redirects=False,
            ) as response:
                yield response

    async def ask(self, method="POST", headers=None, **options):
        """Send a request and return its answer with its body."""
        async with self.asked(method, headers, **options) as response:
            response.whole = await response.read()
            return response

    def request(self, index=-1):
        """Return what the upstream server got: its first line, its headers, its body."""
        head, _, body = self.upstream.requests[index].partition(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        return first, {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}, body


async def _nothing_else(scope, receive, send):
    await send_response(send, 404, [], b"")


@contextlib.asynccontextmanager
async def front(*, direct=True, allowed_origins=frozenset(), names=None, **upstream_options):
    """Open a whole front; ``direct`` is how production serves it, else it goes through ASGI."""
    upstream = RawServer()
    await upstream.start()
    relay = Relay(egress=Egress())
    door = Door()
    proxy = Proxy(
        path="/mcp",
        upstream=Upstream(url=upstream.url + "/up?tenant=7", **{"allow_private": True, **upstream_options}),
        admit=door.admit,
        relay=relay,
        challenges=Challenges(resource_metadata=METADATA, scopes=("mcp/invoke",), scope_names=names),
        origins=policy_for(PUBLIC, frozenset(allowed_origins)),
    )
    app = App(
        data_plane=proxy,
        direct=proxy.serve if direct else None,
        pages=_nothing_else,
        allowed_hosts=frozenset({"127.0.0.1"}),
        data_plane_prefix="/mcp",
    )
    sock = bind(Listen(host="127.0.0.1", port=0), setting="listen")
    server = Server(app, drain_seconds=5.0, direct=app if direct else None)
    task = asyncio.create_task(server.serve(sockets=[sock]))
    await server.listening.wait()
    try:
        yield Front(upstream, relay, door, server, sock.getsockname()[1])
    finally:
        server.should_exit = True
        async with asyncio.timeout(BOUND):
            await task
        await relay.aclose()
        await upstream.stop()
