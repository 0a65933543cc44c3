"""Requests that are served over ASGI: uvicorn's cycle, fed by our protocol."""

import asyncio
import logging
from collections.abc import Callable, Mapping
from typing import Any, Final, cast

from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

from portico.service.direct import expects_continue
from portico.web.asgi import Header

HIGH_WATER: Final = 64 * 1024  #: bytes of a body that wait to be read until the sender is held back

_logger = logging.getLogger("uvicorn.error")


class Page(RequestResponseCycle):
    """uvicorn's cycle of one request, fed by our protocol."""

    task: asyncio.Task[None] | None = None  #: that serves it

    def feed(self, data: bytes) -> None:
        """Take a piece of the body."""
        if self.response_complete:
            return
        self.body += data
        if len(self.body) > HIGH_WATER:
            self.flow.pause_reading()
        self.message_event.set()

    def complete(self) -> None:
        """The request is complete."""
        self.more_body = False
        self.message_event.set()

    def lost(self) -> None:
        """The client went away."""
        if not self.response_complete:
            self.disconnected = True
        self.message_event.set()


def page_over(
    scope: Mapping[str, Any],
    transport: asyncio.Transport,
    flow: FlowControl,
    *,
    default_headers: list[Header],
    keep_alive: bool,
    answered: Callable[[Page], None],
) -> Page:
    """Return the cycle of one request; ``answered`` is told when its answer is complete."""
    page = Page(
        scope=cast("Any", scope),
        transport=transport,
        flow=flow,
        logger=_logger,
        access_logger=_logger,
        access_log=False,
        default_headers=default_headers,
        message_event=asyncio.Event(),
        expect_100_continue=expects_continue(scope["headers"]),
        keep_alive=keep_alive,
        on_response=lambda: answered(page),
    )
    return page


def address_of(name: object) -> tuple[str, int] | None:
    """Return host and port of a socket's name; None for a Unix socket's, or when the connection is gone already."""
    if isinstance(name, tuple):
        parts = cast("tuple[Any, ...]", name)
        return str(parts[0]), int(parts[1])
    return None
