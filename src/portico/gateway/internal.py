"""What a replica answers to other replicas, on its administrator's address: plain ASGI for ``/internal/``."""

from collections.abc import Callable, Mapping
from typing import Final

import msgspec

from portico.gateway.cancellation import CANCEL_PATH, COUNT_PATH, Cancellations
from portico.gateway.hop import HEADER, HopSeal
from portico.gateway.inflight import CallKey
from portico.model.errors import InputError, NotFound
from portico.web.asgi import Receive, Scope, Send, header, read_body, send_response

PREFIX: Final = "/internal/"
MAX_BYTES: Final = 64 * 1024  #: of a request

_decode_key = msgspec.json.Decoder(CallKey).decode


class InternalEndpoint:
    """Serves requests that another replica sealed; anybody else's are refused before they are read as anything."""

    def __init__(self, *, seal: HopSeal, cancellations: Cancellations) -> None:
        self._seal = seal
        self._operations: Mapping[str, Callable[[CallKey], int]] = {
            COUNT_PATH: cancellations.in_flight.count,
            CANCEL_PATH: cancellations.in_flight.cancel,
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one HTTP request.

        Raises:
            HopRefused: no replica has sent it.
            NotFound: another version's operation.
            InputError: the body is too large or not what the operation takes.
        """
        body = await read_body(receive, MAX_BYTES)
        path: str = scope["path"]
        self._seal.check(header(scope["headers"], HEADER), method=scope["method"], path=path, body=body)
        operation = self._operations.get(path)
        if operation is None:
            raise NotFound("This replica does not know that operation.")
        try:
            key = _decode_key(body)
        except msgspec.DecodeError as error:
            raise InputError("The body is no key of a call.") from error
        answer = msgspec.json.encode(operation(key))
        await send_response(send, 200, [(b"content-type", b"application/json")], answer)
