"""One authenticated JSON-RPC request on its way through the gateway, and how it is answered."""

from typing import Final

import msgspec

from portico.gateway.catalog import Catalog
from portico.gateway.sessions import Session
from portico.gateway.snapshot import Endpoint
from portico.gateway.store import Live
from portico.model.gateway import Gateway
from portico.model.principal import Principal
from portico.protocol.era import Spoken
from portico.protocol.headers import McpHeaders
from portico.protocol.jsonrpc import Message
from portico.web.asgi import Header
from portico.web.exchange import Exchange

#: Answers depend on who asks, so no cache on the way may keep them.
JSON_HEADERS: Final[tuple[Header, ...]] = (
    (b"content-type", b"application/json"),
    (b"cache-control", b"no-store"),
)


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """A decoded message of a known caller. ``principal`` was made by the authorizer."""

    exchange: Exchange
    live: Live
    endpoint: Endpoint
    principal: Principal
    headers: McpHeaders
    message: Message
    spoken: Spoken
    session: Session | None
    cors: tuple[Header, ...]

    @property
    def id(self) -> str:
        """Return the id of the HTTP request, for logs and audit."""
        return self.exchange.id

    @property
    def gateway(self) -> Gateway:
        """The gateway that is asked."""
        return self.live.snapshot.gateway

    @property
    def catalog(self) -> Catalog:
        """The tools that a client of this revision can see here."""
        return self.endpoint.catalogs[self.spoken.version]

    @property
    def modern(self) -> bool:
        """Whether the caller speaks the modern era."""
        return self.spoken.era == "modern"


class Reply(msgspec.Struct, frozen=True):
    """One HTTP answer, complete."""

    status: int
    body: bytes = b""
    headers: tuple[Header, ...] = JSON_HEADERS


#: The answer to a notification: taken, nothing to say.
ACCEPTED: Final = Reply(202, b"", ())
