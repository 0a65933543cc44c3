"""``tools/call`` over HTTP: who may end the call, how its answer travels, how its failure is rendered."""

import msgspec

from portico.gateway import rendering
from portico.gateway.cancellation import Cancellations
from portico.gateway.inflight import CallCancelled, CallKey, Cancellable
from portico.gateway.outbound import Outbound
from portico.gateway.pipeline import CallParams, Notify, call_tool, facts_of
from portico.gateway.recording import Recorder
from portico.gateway.request import ACCEPTED, Reply, Request
from portico.gateway.streaming import AnswerStream
from portico.model.call import LogLevel, Notification
from portico.model.errors import PorticoError
from portico.protocol.era import progress_token
from portico.protocol.errors import INVALID_PARAMS, RpcRefused
from portico.protocol.jsonrpc import Message, RequestId, encode_notification
from portico.protocol.logs import asked_level

_decode_text = msgspec.json.Decoder(str).decode
_decode_id = msgspec.json.Decoder(RequestId).decode


class ToolCalls:
    """Serves ``tools/call`` and, for legacy clients, ``notifications/cancelled``."""

    def __init__(self, recorder: Recorder, cancellations: Cancellations, outbound: Outbound) -> None:
        self._recorder = recorder
        self._outbound = outbound
        self._cancellations = cancellations
        self._in_flight = cancellations.in_flight

    def in_flight(self) -> int:
        """Return how many legacy calls are under way."""
        return len(self._in_flight)

    async def serve(self, request: Request) -> None:
        """Make a call and send its answer.

        Raises:
            RpcRefused: its params cannot be read.
        """
        try:
            params, token = read_params(request.message), progress_token(request.message)
            level = asked_level(request.message) if request.modern else None
        except RpcRefused as refusal:
            self._recorder.refused(facts_of(request, ""), refusal)
            raise
        if request.gateway.streaming and request.headers.accepts_events:
            await self._serve_stream(request, params, token, level)
            return
        reply = await self._call(request, params, None)
        if reply is not None:
            headers = (*reply.headers, *request.cors) if request.cors else reply.headers
            await request.exchange.respond(reply.status, headers, reply.body)

    async def _serve_stream(
        self, request: Request, params: CallParams, token: bytes | None, level: LogLevel | None
    ) -> None:
        stream = AnswerStream(request.exchange, request.cors)
        notify = None
        if token is not None or level is not None:
            params = msgspec.structs.replace(params, wants_progress=token is not None, log_level=level)
            notify = _notify(stream, token)
        try:
            reply = await self._call(request, params, notify)
            if reply is not None:
                await stream.finish(reply)
        finally:
            await stream.aclose()

    async def cancel(self, request: Request) -> None:
        """Cancel what ``notifications/cancelled`` names; whatever it names wrongly is ignored, as the spec asks."""
        raw = request.message.params.get("requestId")
        try:
            request_id = None if raw is None else _decode_id(raw)
        except msgspec.DecodeError:
            return
        if request_id is not None:
            key = _key(request, request_id)
            await self._cancellations.cancel(key, exclusive=request.session is not None)

    async def _call(self, request: Request, params: CallParams, notify: Notify | None) -> Reply | None:
        """Return the answer; None when nobody waits for one."""
        ending = Cancellable(request.exchange.task)
        held = None
        if request.modern:
            request.exchange.watch(ending.disconnected)
        else:
            assert request.message.id is not None  # a notification is no call
            held = self._in_flight.hold(_key(request, request.message.id), ending)
        try:
            answer = await call_tool(
                request, params, recorder=self._recorder, outbound=self._outbound, ending=ending, notify=notify
            )
            return rendering.answered(answer, request)
        except CallCancelled:
            return None if request.modern else ACCEPTED  # no response to a cancelled request
        except PorticoError as error:
            return rendering.failed(error, request, tool=params.name)
        finally:
            if held is None:
                request.exchange.unwatch()
            else:
                held.release()


def read_params(message: Message) -> CallParams:
    """Return the params of a ``tools/call``.

    Raises:
        RpcRefused: -32602; says which member is wrong.
    """
    raw_name, raw_arguments = message.params.get("name"), message.params.get("arguments")
    try:
        name = "" if raw_name is None else _decode_text(raw_name)
    except msgspec.DecodeError:
        name = ""
    if not name:
        raise RpcRefused(INVALID_PARAMS, "params.name must be the name of a tool, a string.")
    arguments = None if raw_arguments is None else bytes(raw_arguments)
    if arguments == b"null":  # some clients say it so
        arguments = None
    if arguments is not None and not arguments.startswith(b"{"):
        raise RpcRefused(INVALID_PARAMS, "params.arguments must be an object.")
    return CallParams(name=name, arguments=arguments)


def _notify(stream: AnswerStream, token: bytes | None) -> Notify:
    """Return what hands on log messages, and progress under the client's own token if it sent one."""

    async def notify(notification: Notification) -> None:
        if notification.kind == "message":
            await stream.event(encode_notification("notifications/message", notification.params))
        elif token is not None:
            members = notification.params.strip()[1:]
            params = _with_members(b'{"progressToken":%b' % token, members)
            await stream.event(encode_notification("notifications/progress", params))

    return notify


def _with_members(head: bytes, members: bytes) -> bytes:
    return head + (b"," if members.lstrip() != b"}" else b"") + members


def _key(request: Request, request_id: RequestId) -> CallKey:
    """Return what a call and its cancellation have in common.

    Without a session it is the caller and where it calls from: request ids are small numbers that every client of
    the same principal uses too.
    """
    where = request.exchange.client_host if request.session is None else request.session.number
    return (request.principal.key, request.endpoint.resource, where, request_id)
