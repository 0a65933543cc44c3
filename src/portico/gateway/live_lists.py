"""``tools/list`` where targets are asked for their tools when a client asks (listingMode DYNAMIC).

The list is put together anew for each page, of what was read beforehand and what the targets say now to this caller:
with the target's credential and with what of the request may be passed on, as its calls are made. A target that cannot
be asked is named with the reason, and the others are listed. Nothing is kept but which arguments tools want in headers.
"""

import asyncio
from typing import Final

from portico.gateway.catalog import Part
from portico.gateway.methods import cursor_of, with_result
from portico.gateway.outbound import Outbound, passed_to
from portico.gateway.request import Reply, Request
from portico.gateway.snapshot import live_part
from portico.model.call import ListCall
from portico.model.credential import Credential
from portico.model.errors import PorticoError
from portico.model.target import EraTools
from portico.targets.listing import MAX_TOOLS
from portico.targets.mcp_server import McpServerTarget

TOOLS_LIST: Final = "tools/list"
MAX_ASKED_AT_ONCE: Final = 16  #: targets that one list asks at the same time


class LiveLists:
    """Serves lists that hold targets whose lists are live."""

    def __init__(self, outbound: Outbound, *, max_tools: int = MAX_TOOLS) -> None:
        """Take how many tools of a target are listed at most."""
        self._outbound = outbound
        self._max_tools = max_tools

    async def answer(self, request: Request) -> Reply:
        """Answer ``tools/list``.

        Raises:
            RpcRefused: its params are wrong.
        """
        cursor, catalog = cursor_of(request.message), request.catalog
        unread = catalog.unread(cursor)
        places = asyncio.Semaphore(MAX_ASKED_AT_ONCE)

        async def read(part: Part) -> Part:
            async with places:
                return await self._read(request, part)

        async with asyncio.TaskGroup() as group:
            reading = [group.create_task(read(part)) for part in unread]
        parts = {part.target: part for part in (task.result() for task in reading)}
        return with_result(request, catalog.with_parts(parts).page(cursor))

    async def _read(self, request: Request, part: Part) -> Part:
        """Return what a target says now; it must not fail for what one target does."""
        server = request.live.targets[part.target]
        try:
            offered, alike = await self._ask(request, part, server)
        except PorticoError as error:
            reason = f"Target {part.target!r} could not be asked for its tools. {error.public}"
            if request.gateway.debug and error.debug_hint:
                reason = f"{reason} {error.debug_hint}"
            return Part(target=part.target, era=part.era, tools={}, names=(), missing=reason)
        steps = live_part(server.target, offered, request.spoken.version, public=offered.public and alike)
        while True:
            try:
                next(steps)
            except StopIteration as end:
                found: Part = end.value
                break
            await asyncio.sleep(0)
        server.note_mirrors({name: tool.mirrors for name, tool in found.tools.items()})
        return found

    async def _ask(self, request: Request, part: Part, server: McpServerTarget) -> tuple[EraTools, bool]:
        """Return the tools, and whether nothing of the caller went along."""
        assert part.live is not None
        passed = passed_to(request, server.target)
        session = "" if request.session is None else request.session.number
        call = ListCall(
            era=part.live,
            version=request.spoken.version,
            principal=request.principal,
            session=session,
            apart="" if session else passed.digest,
        )

        async def send(attached: Credential | None) -> EraTools:
            return await server.list_tools(call.bearing(attached), max_tools=self._max_tools)

        return await self._outbound.ask(server.target, passed, send), not passed.digest
