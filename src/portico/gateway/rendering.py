"""Whatever was raised becomes an answer here, and only here: challenge, JSON-RPC error, or failed tool result."""

from typing import Final

from portico.gateway.request import JSON_HEADERS, Reply, Request
from portico.gateway.snapshot import Endpoint, Snapshot
from portico.model.call import Answer, RpcError
from portico.model.errors import (
    Forbidden,
    LimitExceeded,
    PorticoError,
    SignatureRefused,
    Unauthenticated,
    Unavailable,
    UpstreamError,
)
from portico.model.gateway import JwtAuthorizer
from portico.oauth.challenge import bearer_challenge, describe
from portico.protocol import revisions, server
from portico.protocol.capabilities import lacks
from portico.protocol.era import CLIENT_CAPABILITIES
from portico.protocol.errors import (
    INTERNAL_ERROR,
    INVALID_PARAMS,
    INVALID_REQUEST,
    LEGACY_NOT_FOUND,
    MISSING_CLIENT_CAPABILITY,
    RESERVED_CODES,
    URL_ELICITATION_REQUIRED,
    RpcRefused,
    encode_error,
    encode_refusal,
    status_of,
)
from portico.protocol.jsonrpc import encode_result
from portico.web.asgi import Header

RETRY_AFTER: Final[Header] = (b"retry-after", b"5")
_CHALLENGED: Final = (Unauthenticated, Forbidden)


def http_error(status: int, public: str, *headers: Header) -> Reply:
    """Return an error of HTTP, not of JSON-RPC: its code is the status, which lies outside the protocol's codes."""
    return Reply(status, encode_error(None, status, public), (*JSON_HEADERS, *headers))


def challenged(error: PorticoError, snapshot: Snapshot, endpoint: Endpoint) -> Reply:
    """Return the 401 or 403 of a refused caller (RFC 6750 section 3, RFC 9728 section 5.1)."""
    debug = snapshot.gateway.debug
    if not isinstance(snapshot.gateway.authorizer, JwtAuthorizer):  # no token would help
        name = error.aws_code if isinstance(error, SignatureRefused) else "AccessDeniedException"
        return http_error(error.status, describe(error, debug=debug), (b"x-amzn-errortype", name.encode()))
    challenge = bearer_challenge(error, resource_metadata=endpoint.metadata_url, scopes=snapshot.scopes, debug=debug)
    return http_error(error.status, describe(error, debug=debug), (b"www-authenticate", challenge))


def refused(error: PorticoError, request_id: bytes | None) -> Reply:
    """Return the answer to a message that never became a request of an era."""
    if isinstance(error, RpcRefused):
        return Reply(error.http_status or 400, encode_refusal(error, request_id))
    if isinstance(error, Unavailable):
        body = encode_error(request_id, INTERNAL_ERROR, error.public)
        return Reply(error.status, body, (*JSON_HEADERS, RETRY_AFTER))
    return Reply(error.status, encode_error(request_id, INVALID_REQUEST, error.public))


def failed(error: PorticoError, request: Request, *, tool: str = "") -> Reply:
    """Return the answer to a request that failed; ``tool`` is what was called.

    A target's failure is a tool result with ``isError``, so that the model reads the sentence; it names no address.
    """
    request_id = request.message.raw_id
    if isinstance(error, RpcRefused) and error.http_status is None:
        return Reply(status_of(error.rpc_code, request.spoken.era), encode_refusal(error, request_id))
    if isinstance(error, UpstreamError | LimitExceeded) and request_id is not None:
        return Reply(200, encode_result(request_id, _failed_result(error, request, tool)))
    return refused(error, request_id)


def answered(answer: Answer, request: Request) -> Reply:
    """Return a target's answer, its result byte for byte when the target was asked in the client's own revision."""
    request_id = request.message.raw_id
    assert request_id is not None  # only requests are answered
    headers = _with_theirs(answer, request) if answer.headers else JSON_HEADERS
    if answer.result is not None:
        result, version = answer.result, request.spoken.version
        if answer.version != version:
            result = revisions.result_at(version, result, spoken=answer.version)
        return Reply(200, encode_result(request_id, result), headers)
    assert answer.error is not None
    error = _own_meaning(answer.error, request)
    if error is None:
        text = f"The target refused this gateway's request: {answer.error.message}"
        return Reply(200, encode_result(request_id, server.error_result(text, modern=request.modern)), headers)
    body = encode_error(request_id, error.code, error.message, error.data)
    return Reply(status_of(error.code, request.spoken.era), body, headers)


def _with_theirs(answer: Answer, request: Request) -> tuple[Header, ...]:
    """Return our headers and the target's, which a page of another origin may read where it may read the answer."""
    if not request.cors:
        return (*JSON_HEADERS, *answer.headers)
    names = b", ".join(name for name, _ in answer.headers)
    return (*JSON_HEADERS, *answer.headers, (b"access-control-expose-headers", names))


def _own_meaning(error: RpcError, request: Request) -> RpcError | None:
    """Return the error as our client may get it; None when it concerns the talk between us and the target."""
    if error.code == MISSING_CLIENT_CAPABILITY and request.modern and error.data is not None:
        # We declare nothing to the target, so it also asks for what the client did declare: that is our lack.
        return error if lacks(request.message.meta.get(CLIENT_CAPABILITIES), error.data) else None
    if error.code in RESERVED_CODES or error.code == URL_ELICITATION_REQUIRED:
        return None
    if request.modern and error.code == LEGACY_NOT_FOUND:
        return RpcError(code=INVALID_PARAMS, message=error.message, data=error.data)
    return error


def _failed_result(error: PorticoError, request: Request, tool: str) -> bytes:
    text = f"Calling {tool} failed. {error.public}"
    if not request.gateway.debug:
        return server.error_result(text, modern=request.modern)
    text = " ".join(part for part in (text, error.debug_hint, error.detail) if part)
    return server.error_result(text, modern=request.modern, debug=text)
