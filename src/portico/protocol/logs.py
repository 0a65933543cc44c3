"""Log messages that a modern client asks for per request (MCP 2026-07-28 server/utilities/logging)."""

from typing import Final, get_args

import msgspec

from portico.model.call import LogLevel
from portico.protocol.errors import INVALID_PARAMS, RpcRefused
from portico.protocol.jsonrpc import Message

LOG_LEVEL: Final = "io.modelcontextprotocol/logLevel"
_LEVELS: Final[tuple[LogLevel, ...]] = get_args(LogLevel)  # the least severe first

_decode_level = msgspec.json.Decoder(LogLevel).decode


def asked_level(message: Message) -> LogLevel | None:
    """Return from which level on a modern request wants log messages; None when it wants none.

    Raises:
        RpcRefused: -32602; there is no such level.
    """
    raw = message.meta.get(LOG_LEVEL)
    if raw is None:
        return None
    try:
        return _decode_level(raw)
    except msgspec.DecodeError as error:
        raise RpcRefused(INVALID_PARAMS, f"params._meta.{LOG_LEVEL} must be one of {', '.join(_LEVELS)}.") from error


def reaches(level: LogLevel, asked: LogLevel) -> bool:
    """Tell whether a message of ``level`` is for somebody who asked for ``asked`` and above."""
    return _LEVELS.index(level) >= _LEVELS.index(asked)
