"""Logs: structlog, one event per line, JSON or for people, redacted last.

Third-party loggers (uvicorn, SQLAlchemy, aiohttp) go through the same chain. The request id of
:func:`bind_request_id` stands in every line of its request.
"""

import logging
import sys
from typing import Final, Literal, TextIO

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from portico.telemetry.redaction import redact_field

Level = Literal["debug", "info", "warning", "error"]

#: Loggers that are quieter than ours: at their lower levels they tell of every connection, statement or header.
_QUIET: Final = (
    "aiosqlite",  # with statement parameters
    "alembic",
    "asyncio",
    "botocore",  # with credentials
    "httpx2",
    "mcp",
    "sqlalchemy.engine",
    "urllib3",
    "uvicorn.access",  # with query strings
)


def configure(*, json: bool, level: Level = "info", stream: TextIO | None = None) -> None:
    """Set up logging for the process; a second call replaces the first. Writes to standard error by default."""
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.PositionalArgumentsFormatter(),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )
    # Exceptions become text before redaction, so that their messages are redacted too.
    renderer: list[Processor] = [
        structlog.stdlib.ProcessorFormatter.remove_processors_meta,
        structlog.processors.format_exc_info,
        redacted,
        structlog.processors.JSONRenderer() if json else structlog.dev.ConsoleRenderer(colors=False),
    ]
    handler = logging.StreamHandler(stream if stream is not None else sys.stderr)
    handler.setFormatter(structlog.stdlib.ProcessorFormatter(foreign_pre_chain=shared, processors=renderer))
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(level.upper())
    for name in _QUIET:
        logging.getLogger(name).setLevel(logging.WARNING)
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access"):
        logging.getLogger(name).handlers = []
        logging.getLogger(name).propagate = True


def get(name: str) -> structlog.stdlib.BoundLogger:
    """Return the logger of a module."""
    logger: structlog.stdlib.BoundLogger = structlog.stdlib.get_logger(name)
    return logger


def bind_request_id(request_id: str) -> None:
    """Put ``request_id`` into every line that the current task logs from here on."""
    structlog.contextvars.bind_contextvars(request_id=request_id)


def redacted(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Redact every field of an event; the last step before rendering."""
    return {name: redact_field(name, value) for name, value in event.items()}
