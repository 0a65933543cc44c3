"""The façade as an AWS Lambda function, behind an API Gateway HTTP API (payload 2.0) or a function URL.

``portico.service.lambda_handler.handler`` is what the function's configuration names. Mangum turns an event into one
ASGI request and its answer into the function's result, in one piece: what needs a stream is refused
(:mod:`portico.service.whole_answers`). The application is made once per execution environment, at its first event, on
a loop of the environment's own; between two events the environment is frozen, and the loop with it.

Limits and the two kinds of events: docs/aws-lambda.md.
"""

import asyncio
import base64
import json
import os
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any, Final, Protocol

import msgspec
import structlog
from mangum import Mangum

from portico.model.errors import ConfigError, InputError, PorticoError
from portico.service.facade import build_facade
from portico.service.facade_settings import CONFIG_VARIABLE, load_facade_settings
from portico.service.whole_answers import WholeAnswers
from portico.telemetry import logs
from portico.web.asgi import REQUEST_ID, ASGIApp, Receive, Scope, Send

#: Bytes of a function's result, as JSON (docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html).
PAYLOAD_BYTES: Final = 6 * 1024**2
#: Bytes of the payload that headers, cookies and the frame around the body may need.
FRAME_BYTES: Final = 256 * 1024
#: Bytes of an answer's body: as base64 it is 6,000,000 bytes, which fits in any case.
MAX_ANSWER_BYTES: Final = 4_500_000
#: Bytes that a character of the body can need in JSON (``\\u0000``).
WORST_ESCAPE: Final = 6
#: Seconds after which an HTTP API gives up, not adjustable (apigateway/latest/developerguide/http-api-quotas.html).
HTTP_API_SECONDS: Final = 30.0
#: Seconds kept back of the place's own deadline, so that our error arrives and not the place's.
MARGIN_SECONDS: Final = 1.0
#: Passes of the loop before a request: what happened to sockets and timers while frozen is seen first.
THAW_PASSES: Final = 3
RETRY_AFTER_SECONDS: Final = 30

_FUNCTION_URL: Final = ".lambda-url."  #: in the host name of every function URL, and of nothing else at AWS

_log = structlog.stdlib.get_logger("portico.service")

Event = dict[str, Any]
Result = dict[str, Any]


class Context(Protocol):
    """What is used of the object that Lambda passes beside the event."""

    aws_request_id: str

    def get_remaining_time_in_millis(self) -> int:
        """Return the milliseconds until Lambda ends the invocation."""
        ...


class LambdaHandler:
    """What Lambda calls with each event, one at a time."""

    def __init__(
        self,
        open_app: Callable[[], AbstractAsyncContextManager[ASGIApp]],
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Take what makes the application. Nothing is made before the first event."""
        self._open = open_app
        self._clock = clock
        self._loop = asyncio.new_event_loop()
        self._ended = asyncio.Event()
        self._host: asyncio.Task[None] | None = None
        self._mangum: Mangum | None = None

    def __call__(self, event: Event, context: Context) -> Result:
        """Answer one event.

        Raises:
            InputError: it is no event of an HTTP API with payload 2.0 or of a function URL.
        """
        judge_event(event)
        asyncio.set_event_loop(self._loop)  # Mangum takes the thread's
        try:
            mangum = self._mangum or self._made()
        except PorticoError as error:
            return _not_there(error, context)
        return fitted(mangum(_with_host(event), context))  # pyright: ignore[reportArgumentType] - fewer members

    def close(self) -> None:
        """End the application. Lambda never does; it ends the environment. Idempotent."""
        if self._host is not None:
            self._ended.set()
            self._loop.run_until_complete(self._host)
            self._host = None
            asyncio.set_event_loop(None)
        self._loop.close()

    def _made(self) -> Mangum:
        """Make the application, in a task that holds it open: task groups end where they began."""
        ready: asyncio.Future[ASGIApp] = self._loop.create_future()
        host = self._loop.create_task(self._hold(ready))
        self._loop.run_until_complete(asyncio.wait({host, ready}, return_when=asyncio.FIRST_COMPLETED))
        if not ready.done():
            host.result()
        self._host = host
        whole = WholeAnswers(ready.result(), limit=MAX_ANSWER_BYTES, seconds=self._seconds)
        self._mangum = Mangum(_Front(whole), lifespan="off")
        return self._mangum

    async def _hold(self, ready: asyncio.Future[ASGIApp]) -> None:
        async with self._open() as app:
            ready.set_result(app)
            await self._ended.wait()

    def _seconds(self, scope: Scope) -> float:
        """Return how long the request may take, what it waited for before it came here included."""
        context: Context = scope["aws.context"]
        left = context.get_remaining_time_in_millis() / 1000
        about = scope["aws.event"]["requestContext"]
        if _FUNCTION_URL not in about.get("domainName", ""):
            waited = self._clock() - about.get("timeEpoch", 0) / 1000
            left = min(left, HTTP_API_SECONDS - min(max(waited, 0.0), HTTP_API_SECONDS))
        return max(left - MARGIN_SECONDS, 0.0)


class _Front:
    """Makes of Mangum's scope what our own server would have made."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        for _ in range(THAW_PASSES):
            await asyncio.sleep(0)
        context: Context = scope["aws.context"]
        scope[REQUEST_ID] = context.aws_request_id
        scope["headers"] = [(bytes(name), bytes(value)) for name, value in scope["headers"]]
        await self._app(scope, receive, send)


def judge_event(event: Event) -> None:
    """Refuse what is no event of an HTTP API with payload 2.0 or of a function URL.

    Raises:
        InputError: says what to set.
    """
    about = event.get("requestContext")
    if event.get("version") != "2.0" or not isinstance(about, dict) or "http" not in about:
        raise InputError(
            "This function answers events of an HTTP API with payload format 2.0 and of function URLs; "
            "set PayloadFormatVersion to 2.0, and send it no other events."
        )


def fitted(result: Result) -> Result:
    """Return the result as it fits into the payload: text that grows too much when it is escaped goes as base64."""
    body: str = result.get("body", "")
    room = PAYLOAD_BYTES - FRAME_BYTES
    if result.get("isBase64Encoded") or len(body) * WORST_ESCAPE <= room or len(json.dumps(body)) <= room:
        return result
    return {**result, "body": base64.b64encode(body.encode()).decode(), "isBase64Encoded": True}


def _with_host(event: Event) -> Event:
    """Return the event with the host that it was sent to, where the headers do not say it."""
    headers: dict[str, str] = event.get("headers") or {}
    if any(name.lower() == "host" for name in headers):
        return event
    return {**event, "headers": {**headers, "host": event["requestContext"].get("domainName", "")}}


def _not_there(error: PorticoError, context: Context) -> Result:
    """Say that there is no application to answer; what is wrong stands in the log."""
    if isinstance(error, ConfigError):
        settings = ", ".join(sorted({fault.path for fault in error.faults}))
        public = f"This façade is not configured ({settings}); its log says what to set."
    else:
        public = error.public
    _log.error("not_configured", request_id=context.aws_request_id, error=error.code, detail=str(error))
    document = {"error": error.code, "error_description": public, "request_id": context.aws_request_id}
    return {
        "statusCode": 503,
        "headers": {
            "content-type": "application/json",
            "cache-control": "no-store",
            "retry-after": str(RETRY_AFTER_SECONDS),
            "x-request-id": context.aws_request_id,
        },
        "body": msgspec.json.encode(document).decode(),
        "isBase64Encoded": False,
    }


@asynccontextmanager
async def open_configured() -> AsyncGenerator[ASGIApp]:
    """Open the façade that the environment describes; a file beside it may, if the package has one.

    Raises:
        ConfigError: every fault at once.
    """
    logs.configure(json=True)  # until the settings are known
    file = os.environ.get(CONFIG_VARIABLE, "")
    settings = load_facade_settings(Path(file) if file else None)
    logs.configure(json=settings.log_format == "json", level=settings.log_level)
    async with build_facade(settings) as facade:
        yield facade.app


#: What Lambda calls. It holds nothing until the first event.
handler: Final = LambdaHandler(open_configured)
