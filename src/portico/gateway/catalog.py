"""What one endpoint of a gateway shows at one protocol revision: its tools, ready to be sent.

A list answer is the join of fragments that were encoded when the gateway was compiled. The pages at the usual places
are joined then as well; a cursor that points elsewhere (the list changed between two pages) costs one join.
"""

from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import msgspec

from portico.model.gateway import Era
from portico.protocol import cursors, naming
from portico.protocol.errors import INVALID_PARAMS, RpcRefused
from portico.protocol.mirrored import Mirror
from portico.protocol.server import CACHE_MS, SERVER_INFO_MEMBER, cache_hints

UNAVAILABLE_META: Final = "dev.portico/unavailableTargets"


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolEntry:
    """One tool of the table: whose it is, what it is called there, and how it is listed here."""

    target: str
    tool: str
    era: Era  #: in which its target is asked
    fragment: bytes  #: JSON object
    mirrors: tuple[Mirror, ...] = ()  #: arguments that must be repeated in headers


class Catalog:
    """The tools of one endpoint at one revision, sorted by name. Immutable."""

    def __init__(
        self,
        *,
        scope: str,
        era: Era,
        tools: Mapping[str, ToolEntry],
        unavailable: Mapping[str, str],
        page_size: int,
        ttl_ms: int = CACHE_MS,
        public: bool = False,
    ) -> None:
        """Join the pages.

        ``scope`` is what cursors of this list are bound to; ``unavailable`` tells by target name why its tools are
        missing; a ``page_size`` of 0 puts everything on one page; ``ttl_ms`` and ``public`` say how long and for
        whom a modern client may keep a page.
        """
        self.scope = scope
        self.tools = tools
        self.unavailable = unavailable
        self._era: Era = era
        self._hints = cache_hints(ttl_ms, public=public)
        self._names = sorted(tools)
        self._size = page_size or max(len(tools), 1)
        self._pages = {
            self._cursor(start): self._join(start) for start in range(0, max(len(self._names), 1), self._size)
        }

    def find(self, name: str) -> ToolEntry:
        """Return the tool that a call names.

        Raises:
            RpcRefused: there is none, or its target is left out here and why.
        """
        entry = self.tools.get(name)
        if entry is None:
            raise RpcRefused(INVALID_PARAMS, self._why_not(name))
        return entry

    def page(self, cursor: str | None) -> bytes:
        """Return the result of ``tools/list`` as raw JSON.

        Raises:
            RpcRefused: -32602; the cursor is not one of this list.
        """
        ready = self._pages.get(cursor)
        if ready is not None:
            return ready
        assert cursor is not None  # the first page is always ready
        return self._join(bisect_right(self._names, cursors.decode(self.scope, cursor)))

    def _why_not(self, name: str) -> str:
        shown = name[: naming.MAX_NAME_CHARS]
        reason = self.unavailable.get(naming.split(name)[0])
        if reason is None and not self.tools and len(self.unavailable) == 1:
            reason = next(iter(self.unavailable.values()))  # the endpoint of one target, whose names have no prefix
        return f"Unknown tool: {shown}" if reason is None else f"Unknown tool: {shown}. {reason}"

    def _cursor(self, start: int) -> str | None:
        return cursors.encode(self.scope, self._names[start - 1]) if start else None

    def _join(self, start: int) -> bytes:
        end = min(start + self._size, len(self._names))
        fragments = [self.tools[name].fragment for name in self._names[start:end]]
        following = self._cursor(end) if end < len(self._names) else None
        more = b"" if following is None else b',"nextCursor":"%b"' % following.encode()
        return b'{"tools":[%b]%b%b}' % (b",".join(fragments), more, self._tail(first=start == 0))

    def _tail(self, *, first: bool) -> bytes:
        told = [] if self._era == "legacy" else [SERVER_INFO_MEMBER]
        if first and self.unavailable:
            left_out = [{"target": name, "reason": reason} for name, reason in sorted(self.unavailable.items())]
            told.append(b'"%b":%b' % (UNAVAILABLE_META.encode(), msgspec.json.encode(left_out)))
        meta = b',"_meta":{%b}' % b",".join(told) if told else b""
        return meta if self._era == "legacy" else self._hints + meta
