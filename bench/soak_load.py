"""The calls of the soak test: what is sent, and what counts as explained.

Every answer is judged. Only a call to the target that misbehaves may fail, and then in good order: a tool result with
``isError`` or a JSON-RPC error, within the target's deadline. Everything else that is not the expected answer is
unexplained.
"""

import asyncio
import json
import random
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Literal

import aiohttp

Era = Literal["legacy", "modern"]
VERSIONS: dict[Era, str] = {"modern": "2026-07-28", "legacy": "2025-11-25"}
ERAS: tuple[Era, ...] = ("legacy", "modern")
META = "io.modelcontextprotocol/"
CALL_SECONDS = 20.0  #: that any call may take; the deadlines of the targets are shorter
CANCEL_AFTER = 0.2  #: seconds
EXAMPLES = 50  #: unexplained answers that are kept whole


class Unexplained(Exception):
    """An answer that nothing accounts for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What came back for one request."""

    status: int
    session: str
    messages: list[dict[str, Any]]  #: the JSON answer, or every message of the stream
    text: str

    @property
    def last(self) -> dict[str, Any]:
        return self.messages[-1] if self.messages else {}

    @property
    def result(self) -> dict[str, Any]:
        return self.last.get("result", {})

    @property
    def content(self) -> str:
        return "".join(part.get("text", "") for part in self.result.get("content", []))

    @property
    def error(self) -> int:
        return self.last.get("error", {}).get("code", 0)


@dataclass(slots=True, kw_only=True)
class Tally:
    """What happened."""

    outcomes: Counter[tuple[str, str]] = field(default_factory=Counter)
    unexplained: list[str] = field(default_factory=list)
    slowest: float = 0.0  #: seconds

    def count(self, kind: str, outcome: str) -> None:
        self.outcomes[kind, outcome] += 1

    def blame(self, kind: str, what: str) -> None:
        self.count(kind, "UNEXPLAINED")
        if len(self.unexplained) < EXAMPLES:
            self.unexplained.append(f"{kind}: {what[:500]}")


@dataclass(slots=True, kw_only=True)
class Caller:
    """Makes calls of all kinds with whatever tokens there are."""

    http: aiohttp.ClientSession
    url: str
    tokens: Callable[[], str]
    session_url: str  #: of a gateway that demands sessions of legacy clients
    session_tokens: Callable[[], str]
    tally: Tally
    chance: random.Random
    number: int = 0

    async def one(self) -> None:
        """Make one call of a kind that chance chooses, and judge its answer."""
        kind, weight = zip(*KINDS, strict=True)
        chosen = self.chance.choices(kind, weight)[0]
        await self.make(chosen)

    async def make(self, kind: "Kind") -> None:
        era, target = self.chance.choice(ERAS), self.chance.choice(ERAS)
        name = f"{kind.__name__}, {era} client, {target} target" if kind in CELL_KINDS else f"{kind.__name__}, {era}"
        begin = asyncio.get_running_loop().time()
        try:
            async with asyncio.timeout(CALL_SECONDS):
                outcome = await kind(self, era, target)
        except Unexplained as error:
            self.tally.blame(name, str(error))
        except TimeoutError:
            self.tally.blame(name, f"no answer within {CALL_SECONDS} s")
        except aiohttp.ClientError as error:
            self.tally.blame(name, f"connection: {error!r}")
        else:
            self.tally.count(name, outcome)
        self.tally.slowest = max(self.tally.slowest, asyncio.get_running_loop().time() - begin)

    async def call(
        self, era: Era, tool: str, arguments: dict[str, Any], *, progress: bool = False, **more: Any
    ) -> Answer:
        params: dict[str, Any] = {"name": tool, "arguments": arguments}
        if progress:
            params["_meta"] = {"progressToken": f"p{self.number}"}
        return await self.send(era, "tools/call", params, **more)

    async def send(
        self,
        era: Era,
        method: str,
        params: dict[str, Any],
        *,
        session: str = "",
        token: str | None = None,
        url: str = "",
    ) -> Answer:
        body, headers = self.prepared(era, method, params, session=session, token=token)
        async with self.http.post(url or self.url, data=body, headers=headers) as response:
            text = await response.text()
            stream = response.content_type == "text/event-stream"
            return Answer(
                status=response.status,
                session=response.headers.get("mcp-session-id", ""),
                messages=_events(text) if stream else _json(text),
                text=f"{response.status} {text}",
            )

    def prepared(
        self, era: Era, method: str, params: dict[str, Any], *, session: str = "", token: str | None = None
    ) -> tuple[bytes, dict[str, str]]:
        """Return a request's body and headers; each has a JSON-RPC id of its own."""
        self.number += 1
        headers = {
            "content-type": "application/json",
            "accept": "application/json, text/event-stream",
            "mcp-protocol-version": VERSIONS[era],
            "authorization": f"Bearer {self.tokens() if token is None else token}",
        }
        if session:
            headers["mcp-session-id"] = session
        if era == "modern":
            meta = {f"{META}protocolVersion": VERSIONS[era], f"{META}clientCapabilities": {}}
            params = params | {"_meta": params.get("_meta", {}) | meta}
            headers["mcp-method"] = method
            if "name" in params:
                headers["mcp-name"] = params["name"]
        message: dict[str, Any] = {"jsonrpc": "2.0", "method": method, "params": params}
        if not method.startswith("notifications/"):
            message["id"] = self.number
        return json.dumps(message).encode(), headers


Kind = Callable[[Caller, Era, Era], Awaitable[str]]


def _events(text: str) -> list[dict[str, Any]]:
    return [json.loads(line[5:]) for line in text.splitlines() if line.startswith("data:") and line[5:].strip()]


def _json(text: str) -> list[dict[str, Any]]:
    try:
        found = json.loads(text)
    except ValueError:
        return []
    return [found] if isinstance(found, dict) else []


def expect(condition: object, answer: Answer) -> None:
    if not condition:
        raise Unexplained(answer.text)


async def echo(caller: Caller, era: Era, target: Era) -> str:
    arguments = {"text": f"{caller.chance.random()}", "n": caller.number}
    answer = await caller.call(era, f"{target}___echo", arguments)
    expect(answer.status == 200 and answer.content and json.loads(answer.content) == arguments, answer)
    return "answered"


async def progress(caller: Caller, era: Era, target: Era) -> str:
    answer = await caller.call(era, f"{target}___progress", {"steps": 3}, progress=True)
    steps = [one for one in answer.messages if one.get("method") == "notifications/progress"]
    expect(answer.status == 200 and len(steps) == 3 and answer.content == "done", answer)
    return "streamed"


async def fail(caller: Caller, era: Era, target: Era) -> str:
    answer = await caller.call(era, f"{target}___fail", {})
    expect(answer.status == 200 and answer.result.get("isError") and answer.content == "it failed", answer)
    return "tool error relayed"


async def broken(caller: Caller, era: Era, target: Era) -> str:
    answer = await caller.call(era, f"{target}___broken", {})
    expect(answer.error or answer.result.get("isError"), answer)
    return "protocol error relayed"


async def cancel(caller: Caller, era: Era, target: Era) -> str:
    """Cancel a call that would not end: the modern way by closing, the legacy way by a notification."""
    params = {"name": f"{target}___wait", "arguments": {}}
    token = caller.tokens()
    body, headers = caller.prepared(era, "tools/call", params, token=token)
    number = caller.number
    call = asyncio.create_task(_waited(caller, body, headers))
    await asyncio.sleep(CANCEL_AFTER)
    if era == "modern":
        call.cancel()
        await asyncio.wait({call})
        return "closed"
    told = await caller.send(era, "notifications/cancelled", {"requestId": number}, token=token)
    expect(told.status == 202, told)
    status = await call
    if status >= 500:
        raise Unexplained(f"{status} after notifications/cancelled")
    return "cancelled"


async def _waited(caller: Caller, body: bytes, headers: dict[str, str]) -> int:
    async with caller.http.post(caller.url, data=body, headers=headers) as response:
        await response.read()
        return response.status


async def listing(caller: Caller, era: Era, _target: Era) -> str:
    answer = await caller.send(era, "tools/list", {})
    expect(answer.status == 200 and len(answer.result.get("tools", [])) >= 12, answer)
    return "listed"


async def unknown(caller: Caller, era: Era, _target: Era) -> str:
    answer = await caller.call(era, "legacy___nothing", {})
    expect(answer.error == -32602, answer)
    return "-32602"


async def stranger(caller: Caller, era: Era, _target: Era) -> str:
    answer = await caller.send(era, "tools/list", {}, token="no.such.token")
    expect(answer.status == 401, answer)
    return "401"


async def session(caller: Caller, _era: Era, target: Era) -> str:
    """Live a whole legacy session: initialize, list, call, DELETE."""
    own: dict[str, Any] = {"token": caller.session_tokens(), "url": caller.session_url}
    client = {"protocolVersion": VERSIONS["legacy"], "capabilities": {}, "clientInfo": {"name": "soak", "version": "1"}}
    opened = await caller.send("legacy", "initialize", client, **own)
    expect(opened.status == 200 and opened.session, opened)
    own["session"] = opened.session
    told = await caller.send("legacy", "notifications/initialized", {}, **own)
    expect(told.status == 202, told)
    listed = await caller.send("legacy", "tools/list", {}, **own)
    expect(listed.status == 200 and listed.result.get("tools"), listed)
    answer = await caller.call("legacy", f"{target}___echo", {"a": 1}, **own)
    expect(answer.status == 200 and answer.content == '{"a": 1}', answer)
    headers = {
        "authorization": f"Bearer {own['token']}",
        "mcp-session-id": opened.session,
        "mcp-protocol-version": VERSIONS["legacy"],
    }
    async with caller.http.delete(caller.session_url, headers=headers) as response:
        if response.status not in {200, 204}:
            raise Unexplained(f"DELETE answered {response.status}")
    return "opened, used, ended"


async def moody(caller: Caller, era: Era, _target: Era) -> str:
    """Call the target that misbehaves: any answer in good order is explained."""
    answer = await caller.call(era, "moody___echo", {"a": 1})
    if answer.status == 200 and answer.result and not answer.result.get("isError"):
        expect(answer.content, answer)
        return "answered"
    if answer.status == 200 and answer.result.get("isError"):
        return f"isError: {_short(answer.content)}"
    expect(answer.error and answer.status < 500, answer)
    return f"error {answer.error}"


def _short(text: str) -> str:
    """Return the first words of a message: enough to tell kinds of failures apart."""
    return " ".join(text.split()[:12])


CELL_KINDS: frozenset[Kind] = frozenset({echo, progress, fail, broken, cancel})

#: How often each kind is made, of 100 calls.
KINDS: tuple[tuple[Kind, int], ...] = (
    (echo, 46),
    (progress, 20),
    (fail, 4),
    (broken, 4),
    (cancel, 4),
    (listing, 6),
    (unknown, 2),
    (stranger, 2),
    (session, 6),
    (moody, 6),
)
