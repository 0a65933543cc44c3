"""The front of the AgentCore API: the order of steps from a request to its answer.

A request is bounded, routed by method and path, and its signature verified over the bytes that came, before anything
of it is parsed. What is wrong with an input is told completely, by path. Errors are rendered here and nowhere else.
"""

import asyncio
import time
from collections.abc import Callable, Mapping
from typing import Any, Final

import structlog

from portico.control.access import Access, Caller, allow
from portico.control.api.parsing import parse_input
from portico.control.api.refused import reason_of
from portico.control.api.rendering import NO_CONTENT, Answer, render_error, render_failure, render_output
from portico.control.api.service_model import Route, ServiceModel
from portico.control.not_built import operation_faults, outside
from portico.control.operations.context import Operation, OperationContext
from portico.control.relaxations import RELAXED
from portico.control.shapes import check_shape
from portico.crypto.sigv4 import SignedRequest
from portico.model.errors import Fault, InvalidInput, NotOffered, PorticoError
from portico.web.asgi import (
    ASGIApp,
    ClientDisconnected,
    Header,
    Receive,
    Scope,
    Send,
    header,
    read_body,
    request_id,
    too_large,
)

MAX_BODY_BYTES: Final = 6 * 1024 * 1024  #: of a request; a tool schema of 1 MiB, escaped, and room beside it

ContextFor = Callable[[Caller, str, int], OperationContext]  #: of a caller, a request id and a time

_HEADERS: Final[tuple[Header, ...]] = ((b"content-type", b"application/json"), (b"cache-control", b"no-store"))

_log = structlog.stdlib.get_logger("portico.control.api")


class Front:
    """Plain ASGI for every path of the AgentCore API; all other requests go to ``otherwise``."""

    def __init__(
        self,
        *,
        access: Access,
        offered: Mapping[str, Operation],
        context: ContextFor,
        otherwise: ASGIApp,
        changed: Callable[[], None] = lambda: None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Take the powers; ``changed`` is called after every operation that has changed something."""
        self._access = access
        self._offered = offered
        self._context = context
        self._otherwise = otherwise
        self._changed = changed
        self._clock = clock
        self._model: ServiceModel | None = None
        self._loading = asyncio.Lock()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        model = self._model or await self._load()
        route = model.match(scope["method"], scope["raw_path"])
        if route is None:
            await self._otherwise(scope, receive, send)
            return
        answer = await self._answer(route, scope, receive)
        await _send(send, answer, request_id(scope))

    async def _load(self) -> ServiceModel:
        async with self._loading:
            if self._model is None:
                self._model = await asyncio.to_thread(ServiceModel.load)
            return self._model

    async def _answer(self, route: Route, scope: Scope, receive: Receive) -> Answer:
        """Render whatever comes of a request, and say so in the log: names and codes, never values."""
        log = _log.bind(request_id=request_id(scope), operation=route.operation.name)
        try:
            answer = await self._serve(route, scope, receive)
        except ClientDisconnected:
            raise
        except PorticoError as error:
            answer = render_error(error)
            log.info("api_request_refused", error=answer.error, status=answer.status, detail=error.detail)
        except Exception:
            log.exception("api_request_failed")
            answer = render_failure()
        return answer

    async def _serve(self, route: Route, scope: Scope, receive: Receive) -> Answer:
        """Take the steps, in the order in which they protect each other."""
        operation = route.operation
        head = _head(scope)
        knock = self._access.begin(head)  # nobody unknown makes us read a body
        body = await read_body(receive, MAX_BODY_BYTES)
        caller = knock.prove(body)
        perform = self._offered.get(operation.name)
        if perform is None:
            raise NotOffered(f"Portico does not offer {operation.name}: {reason_of(operation.name)}")
        document = _checked(route, head, body)
        allow(caller, operation.name, document)
        context = self._context(caller, request_id(scope), int(self._clock()))
        output = await perform(context, document)
        if not operation.readonly:
            self._changed()
        _log.info("api_request", request_id=context.request_id, operation=operation.name, caller=caller.name)
        return render_output(operation, output)


def _head(scope: Scope) -> SignedRequest:
    """Return what of a request is there before its body, unless it announces too long a one."""
    announced = header(scope["headers"], b"content-length") or b"0"
    if not announced.isdigit() or int(announced) > MAX_BODY_BYTES:
        raise too_large(MAX_BODY_BYTES)
    return SignedRequest(
        method=scope["method"],
        raw_path=scope["raw_path"],
        query=scope["query_string"],
        headers=tuple(scope["headers"]),
    )


def _checked(route: Route, head: SignedRequest, body: bytes) -> Mapping[str, Any]:
    """Return the input document, or tell everything that is wrong with it."""
    parsed = parse_input(route, head, body)
    operation = route.operation
    refused = operation_faults(operation.name, parsed.document)
    judged = check_shape(operation.input_shape, parsed.document, relaxed=RELAXED, shapes=operation.shapes)
    faults = [*parsed.faults, *refused, *outside(judged, refused)]
    if faults:
        raise InvalidInput(_single(faults))
    return parsed.document


def _single(faults: list[Fault]) -> list[Fault]:
    return list(dict.fromkeys(faults))


async def _send(send: Send, answer: Answer, answer_id: str) -> None:
    headers = [*_HEADERS, (b"x-amzn-requestid", answer_id.encode()), *answer.headers]
    if answer.status != NO_CONTENT:  # RFC 9110 section 8.6: such an answer has no length
        headers.append((b"content-length", b"%d" % len(answer.body)))
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    await send({"type": "http.response.body", "body": answer.body})
