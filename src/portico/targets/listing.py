"""Reading the list of a target's tools, page by page, in both eras."""

from collections.abc import Awaitable, Callable, Iterator

from portico.model.gateway import Era
from portico.model.target import EraTools, Tool
from portico.protocol.client import MODERN_VERSION, Headers, legacy_request, modern_headers, modern_request
from portico.protocol.client_answers import Message
from portico.protocol.client_handshakes import ToolsPage, read_result
from portico.targets.credentialed import Sender
from portico.targets.definitions import InvalidDefinition, read_definition
from portico.targets.exchange import Route, answer_of
from portico.targets.handshake import LegacySession

MAX_TOOLS = 1000  #: tools of one target in one era, unless the setting quotas.tools_per_target says otherwise
MAX_PAGES = 100  #: pages of one list, or as many as its tools make at the least number per page
TOOLS_PER_PAGE = 10  #: that number, on the average

Say = Callable[[str], None]


class Listing:
    """Reads the pages of one list, and what they say of how long they may be kept and for whom."""

    def __init__(self, max_tools: int, say: Say) -> None:
        """Take how many tools are read at most, and what hears what was left out."""
        self.say = say
        self._tools: dict[str, Tool] = {}
        self._max_tools = max_tools
        self._max_pages = max(MAX_PAGES, max_tools // TOOLS_PER_PAGE)
        self.ttl_ms: int | None = None  #: the smallest of all pages
        self.public = True  #: until one page is not

    @property
    def tools(self) -> tuple[Tool, ...]:
        """What was read."""
        return tuple(self._tools.values())[: self._max_tools]

    async def read(self, era: Era, page: Callable[[str | None], Awaitable[Message]]) -> None:
        """Read all pages.

        An error in the middle fails the era as undecided: half a list would look like a whole one.
        """
        cursors: set[str] = set()
        cursor: str | None = None
        for _ in range(self._max_pages):
            result = read_result(await page(cursor), ToolsPage)
            self.ttl_ms = result.ttl_ms if self.ttl_ms is None else min(self.ttl_ms, result.ttl_ms)
            self.public = self.public and result.public
            for raw in result.tools:
                _take(self._tools, bytes(raw), era, self.say)
            cursor = result.nextCursor
            if len(self._tools) >= self._max_tools:
                if len(self._tools) > self._max_tools or cursor is not None:
                    self.say(
                        f"only the first {self._max_tools} tools are published; the setting quotas.tools_per_target "
                        "raises that."
                    )
                return
            if cursor is None:
                return
            if cursor in cursors:
                self.say("the list of tools goes round in circles; it was read up to there.")
                return
            cursors.add(cursor)
        self.say(f"the list of tools has more than {self._max_pages} pages; the rest is not published.")


def _take(tools: dict[str, Tool], raw: bytes, era: Era, say: Say) -> None:
    try:
        tool = read_definition(raw, era)
    except InvalidDefinition as error:
        say(f"{error}.")
        return
    if tool.name in tools:
        say(f"tool {tool.name} is listed twice; the first is published.")
        return
    tools[tool.name] = tool


async def list_modern(sender: Sender, route: Route, numbers: Iterator[int], listing: Listing) -> EraTools:
    """Read the tools of a modern server; ``numbers`` gives the ids of the requests.

    Raises:
        UpstreamError: a page cannot be had.
    """
    headers = modern_headers("tools/list")

    async def page(cursor: str | None) -> Message:
        number = next(numbers)
        return await ask(sender, route, headers, modern_request("tools/list", number, cursor=cursor), number)

    await listing.read("modern", page)
    return EraTools(
        era="modern", version=MODERN_VERSION, tools=listing.tools, ttl_ms=listing.ttl_ms, public=listing.public
    )


async def list_legacy(
    sender: Sender, route: Route, session: LegacySession, numbers: Iterator[int], listing: Listing
) -> EraTools:
    """Read the tools of a legacy server in a session that is open.

    Raises:
        UpstreamError: a page cannot be had.
    """

    async def page(cursor: str | None) -> Message:
        number = next(numbers)
        return await ask(sender, route, session.headers, legacy_request("tools/list", number, cursor=cursor), number)

    await listing.read("legacy", page)
    return EraTools(era="legacy", version=session.version, tools=listing.tools)


async def ask(relay: Sender, route: Route, headers: Headers, body: bytes, number: int) -> Message:
    """Send a list or a probe and return its answer.

    Raises:
        UpstreamError: there is none, or it is not what the protocol says.
    """
    # Lists and probes change nothing, so that they may be sent twice over a connection that broke.
    response = await relay.send(
        route.peer, b"POST", route.path, headers, body, timeouts=route.timeouts, repeatable=True
    )
    return await answer_of(response, request_id=number, max_bytes=route.max_bytes, total=route.timeouts.total)
