"""What one endpoint of a gateway shows at one protocol revision: its tools, ready to be sent.

A catalog is made of a :class:`Part` per target. Parts are carried over from snapshot to snapshot as long as their
targets do not change, and an endpoint of all targets and one of a single target show the same parts, so that a tool is
in memory once. A list answer is a join of fragments; the pages at the usual places are joined once, when somebody asks
for them first. A cursor that points elsewhere (the list changed between two pages) costs one join.
"""

from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Final

import msgspec

from portico.model.gateway import Era
from portico.protocol import cursors, naming
from portico.protocol.errors import INVALID_PARAMS, RpcRefused
from portico.protocol.mirrored import Mirror
from portico.protocol.server import CACHE_MS, SERVER_INFO_MEMBER, cache_hints
from portico.targets.definitions import is_tool_name

UNAVAILABLE_META: Final = "dev.portico/unavailableTargets"


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolEntry:
    """One tool of the table: whose it is, what it is called there, and how it is listed here."""

    target: str
    tool: str
    era: Era  #: in which its target is asked
    fragment: bytes  #: JSON object from the value of its first member, ``name``, on: that depends on the endpoint
    mirrors: tuple[Mirror, ...] = ()  #: arguments that must be repeated in headers


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Part:
    """The tools of one target as clients of one revision are shown them. Immutable; two are equal if they are one."""

    target: str
    era: Era  #: of those clients
    tools: Mapping[str, ToolEntry]  #: by the target's own name
    names: tuple[str, ...]  #: those names, sorted
    missing: str = ""  #: why nothing at all is shown, a sentence
    ttl_ms: int = CACHE_MS  #: for how long a modern client may keep the list
    public: bool = True  #: the target shows everybody the same
    live: Era | None = None  #: nobody knows the tools: the target is asked when a client asks, its calls in this era


class Catalog:
    """The tools of one endpoint at one revision, sorted by name. Immutable but for pages that are joined once."""

    def __init__(
        self,
        *,
        scope: str,
        era: Era,
        parts: Sequence[Part],
        prefixed: bool = True,
        page_size: int,
        public: bool = False,
    ) -> None:
        """Put parts together, which stand in the order of their prefixes.

        ``scope`` is what cursors of this list are bound to; ``prefixed`` names are ``target___tool``, others the
        target's own; a ``page_size`` of 0 puts everything on one page; ``public`` lists are the same for everybody
        as far as the gateway goes.

        No target's name holds an underscore, so that no prefix begins another one: the tools of one part stand
        together in the sorted list.
        """
        self.scope = scope
        self.parts = tuple(parts)
        self.live = tuple(part for part in parts if part.live is not None)
        self._era: Era = era
        self._prefixed = prefixed
        self._page_size = page_size
        self._public = public
        self._by_target = {part.target if prefixed else "": part for part in parts}
        self._prefixes = [naming.join(part.target, "") if prefixed else "" for part in parts]
        self._ends = list(accumulate(len(part.names) for part in parts))
        self._count = self._ends[-1] if self._ends else 0
        self._size = page_size or max(self._count, 1)
        ttl_ms = min((part.ttl_ms for part in parts), default=CACHE_MS)
        self._hints = cache_hints(ttl_ms, public=public and all(part.public for part in parts))
        self._pages: dict[str | None, bytes] = {}

    def __len__(self) -> int:
        """Return how many tools are listed."""
        return self._count

    def find(self, name: str) -> ToolEntry:
        """Return the tool that a call names.

        Raises:
            RpcRefused: there is none, or its target is left out here and why.
        """
        target, tool = naming.split(name) if self._prefixed else ("", name)
        part = self._by_target.get(target)
        entry = None if part is None else part.tools.get(tool)
        if entry is None:
            if part is not None and part.live is not None and is_tool_name(tool):
                return ToolEntry(target=part.target, tool=tool, era=part.live, fragment=b"")
            raise RpcRefused(INVALID_PARAMS, _unknown(name, part))
        return entry

    def unread(self, cursor: str | None) -> tuple[Part, ...]:
        """Return the parts that have to be asked for before a page can be made; :meth:`with_parts` takes them.

        Raises:
            RpcRefused: -32602; the cursor is not one of this list.
        """
        if cursor is None or not self.live:
            return self.live
        after = cursors.decode(self.scope, cursor)
        return tuple(part for part in self.live if not self._is_behind(part, after))

    def with_parts(self, read: Mapping[str, Part]) -> "Catalog":
        """Return the catalog with other parts in the place of some, by target."""
        return Catalog(
            scope=self.scope,
            era=self._era,
            parts=[read.get(part.target, part) for part in self.parts],
            prefixed=self._prefixed,
            page_size=self._page_size,
            public=self._public,
        )

    def _is_behind(self, part: Part, after: str) -> bool:
        """Tell whether all that a part may hold stands before ``after``."""
        prefix = naming.join(part.target, "")
        return self._prefixed and prefix < after and not after.startswith(prefix)

    def page(self, cursor: str | None) -> bytes:
        """Return the result of ``tools/list`` as raw JSON.

        Raises:
            RpcRefused: -32602; the cursor is not one of this list.
        """
        ready = self._pages.get(cursor)
        if ready is not None:
            return ready
        start = 0 if cursor is None else self._following(cursors.decode(self.scope, cursor))
        page = self._join(start)
        if start % self._size == 0:  # others can be made up at will, and must not fill the memory
            self._pages[self._cursor(start)] = page
        return page

    def _following(self, after: str) -> int:
        """Return the place of the first tool whose name follows ``after``."""
        index = bisect_right(self._prefixes, after) - 1
        if index < 0:
            return 0
        prefix = self._prefixes[index]
        if not after.startswith(prefix):
            return self._ends[index]  # its target is gone; all of this part stands before it
        return self._begin(index) + bisect_right(self.parts[index].names, after[len(prefix) :])

    def _begin(self, index: int) -> int:
        return self._ends[index - 1] if index else 0

    def _listed(self, start: int, end: int) -> Iterator[tuple[str, ToolEntry]]:
        """Yield names and tools from place to place."""
        index = bisect_right(self._ends, start)
        while start < end:
            part, begin = self.parts[index], self._begin(index)
            for name in part.names[start - begin : end - begin]:
                yield f"{self._prefixes[index]}{name}", part.tools[name]
            start = self._ends[index]
            index += 1

    def _cursor(self, start: int) -> str | None:
        """Return the cursor of the page that begins at a place, None for the first one's."""
        return cursors.encode(self.scope, next(self._listed(start - 1, start))[0]) if start else None

    def _join(self, start: int) -> bytes:
        end = min(start + self._size, self._count)
        fragments = [
            b'{"name":%b%b' % (msgspec.json.encode(name), entry.fragment) for name, entry in self._listed(start, end)
        ]
        following = self._cursor(end) if end < self._count else None
        more = b"" if following is None else b',"nextCursor":"%b"' % following.encode()
        return b'{"tools":[%b]%b%b}' % (b",".join(fragments), more, self._tail(first=start == 0))

    def _tail(self, *, first: bool) -> bytes:
        told = [] if self._era == "legacy" else [SERVER_INFO_MEMBER]
        left_out = [{"target": part.target, "reason": part.missing} for part in self.parts if first and part.missing]
        if left_out:
            told.append(b'"%b":%b' % (UNAVAILABLE_META.encode(), msgspec.json.encode(left_out)))
        meta = b',"_meta":{%b}' % b",".join(told) if told else b""
        return meta if self._era == "legacy" else self._hints + meta


def _unknown(name: str, part: Part | None) -> str:
    shown = name[: naming.MAX_NAME_CHARS]
    reason = "" if part is None else part.missing
    return f"Unknown tool: {shown}. {reason}" if reason else f"Unknown tool: {shown}"
