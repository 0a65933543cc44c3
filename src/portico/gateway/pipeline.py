"""The only path of a tool call. READ FIRST.

Before it, ``endpoint`` has authenticated the caller (401 and 403 with their challenge come before anything else is
looked at), decoded the message and found its era; what it cannot read never gets here. Then, in this order::

    record      a block around everything below: denied, failed and cancelled calls are recorded too, before any
                answer is sent, and a call that could not be recorded is not made
    resolve     the name that was sent -> this caller's tool, or why there is none
    agree       arguments that the tool wants repeated in headers are what the headers say; for a legacy caller of a
                modern target, who sends none, they are made here
    credential  what the target is called with, and what of the caller's request it may be handed; most targets want
                nothing of this
    invoke      the target, in the era that was chosen when the gateway was compiled; its bytes come back as they are.
                Once more with another credential, when the target refused the first one with 401 and did nothing

Steps that are built later slot in between (docs/architecture.md draws the whole order): limits before and after
resolve, interceptors around everything from resolve to invoke, the decision of policy after resolve. Nothing here waits
for a database, a key server or a discovery: a call touches memory and its target. Only a token that is not in memory is
fetched (``identity``).

Whatever fails is raised; ``calls`` renders it. The caller's own token is not in here and cannot reach a target.
"""

from collections.abc import Awaitable, Callable

import msgspec

from portico.gateway.catalog import ToolEntry
from portico.gateway.inflight import Cancellable
from portico.gateway.outbound import Outbound, explained, passed_to
from portico.gateway.recording import CallFacts, Recorder
from portico.gateway.request import Request
from portico.model.call import Answer, LogLevel, Notification, ToolCall
from portico.model.credential import Credential
from portico.model.errors import UpstreamStatus
from portico.protocol import mirrored, naming
from portico.protocol.era import trace_members
from portico.targets.mcp_server import McpServerTarget

Notify = Callable[[Notification], Awaitable[None]]


class CallParams(msgspec.Struct, frozen=True, kw_only=True):
    """The params of ``tools/call`` that we read; ``arguments`` stays raw JSON."""

    name: str
    arguments: bytes | None
    wants_progress: bool = False  #: and the answer can carry it
    log_level: LogLevel | None = None  #: from which on log messages are wanted, where the answer can carry them


async def call_tool(
    request: Request,
    params: CallParams,
    *,
    recorder: Recorder,
    outbound: Outbound,
    ending: Cancellable,
    notify: Notify | None,
) -> Answer:
    """Call a tool for an authenticated caller and return what its target answered.

    Args:
        request: the caller, the gateway and what both speak.
        params: which tool, with what.
        recorder: where the call is recorded.
        outbound: gives targets what they want beside the message.
        ending: by which the client's cancellation reaches the call.
        notify: awaited for each notification that was asked for; None when this answer cannot carry any.

    Raises:
        RpcRefused: no such tool, its target is not available, headers disagree with arguments, or what is to be passed
            on to the target cannot be.
        UpstreamError, LimitExceeded: the target failed or is too busy, or there is no credential for it.
        JournalFull: the call could not be recorded.
        CallCancelled: the client ended it.
    """
    with recorder.call(facts_of(request, params.name)) as record, ending:
        tool = request.catalog.find(params.name)
        record.resolved(tool)
        target = request.live.targets[tool.target]
        repeated = _agree(request, tool, params, target)
        call = _upstream_call(request, tool, params, repeated)
        if target.takes_along:
            answer = await _invoke_with(outbound, request, target, call, notify)
        else:
            try:
                answer = await target.invoke(call, notify)
            except UpstreamStatus as error:
                raise explained(error, None) from error
        record.answered(answer)
    return answer


async def _invoke_with(
    outbound: Outbound, request: Request, target: McpServerTarget, call: ToolCall, notify: Notify | None
) -> Answer:
    """Call a target that wants a credential, or something of the caller's request."""
    passed = passed_to(request, target.target)
    apart = "" if call.session else passed.digest

    async def send(attached: Credential | None) -> Answer:
        return await target.invoke(msgspec.structs.replace(call, attached=attached, apart=apart), notify)

    return await outbound.ask(target.target, passed, send)


def facts_of(request: Request, name: str) -> CallFacts:
    """Return what is recorded of a call to ``name``, before it is resolved."""
    named = request.endpoint.target
    target, tool = (named, name) if named else naming.split(name)
    return CallFacts(
        request_id=request.id,
        gateway=request.gateway.id,
        target=target,
        tool=tool,
        era=request.spoken.era,
        version=request.spoken.version,
        principal=request.principal,
    )


def _agree(
    request: Request, tool: ToolEntry, params: CallParams, target: McpServerTarget
) -> tuple[tuple[bytes, bytes], ...]:
    """Return the ``Mcp-Param-*`` headers of the call: the client's own, those that no tool asked for included."""
    if request.modern:
        if tool.mirrors:
            mirrored.check(tool.mirrors, request.headers.mirrored, params.arguments)
        return tuple(request.headers.mirrored)
    mirrors = tool.mirrors or (target.mirrors.get(tool.tool, ()) if target.mirrors else ())
    return mirrored.headers_for(mirrors, params.arguments) if mirrors else ()


def _upstream_call(
    request: Request, tool: ToolEntry, params: CallParams, repeated: tuple[tuple[bytes, bytes], ...]
) -> ToolCall:
    return ToolCall(
        tool=tool.tool,
        arguments=params.arguments,
        era=tool.era,
        version=request.spoken.version,
        principal=request.principal,
        session="" if request.session is None else request.session.number,
        wants_progress=params.wants_progress,
        log_level=params.log_level,
        trace=trace_members(request.message) if request.modern else None,
        mirrored=repeated,
    )
