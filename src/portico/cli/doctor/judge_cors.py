"""What a browser asks of an answer before a page may read it (Fetch standard, "CORS protocol"). Pure."""

from collections.abc import Sequence
from typing import Final

from portico.cli.doctor.finding import FaultFound
from portico.cli.doctor.http import Answer

#: What MCP clients send to the endpoint; browsers never let ``*`` stand for Authorization.
ENDPOINT_HEADERS: Final = ("authorization", "content-type", "mcp-protocol-version")
CALL_METHOD: Final = "POST"


def preflight(origin: str, headers: Sequence[str], method: str = CALL_METHOD) -> dict[str, str]:
    """Return the headers of a preflight."""
    return {
        "origin": origin,
        "access-control-request-method": method,
        "access-control-request-headers": ",".join(headers),
    }


def judge_preflight(answer: Answer, origin: str, headers: Sequence[str]) -> None:
    """Judge the answer to a preflight.

    Raises:
        FaultFound: the browser would not send the request.
    """
    if not 200 <= answer.status < 300:  # noqa: PLR2004  # HTTP's class of success
        raise FaultFound("cors_missing", f"OPTIONS {answer.url} from {origin} answers {answer.status}.")
    judge_readable(answer, origin)
    allowed = _names(answer, "access-control-allow-headers")
    missing = [name for name in headers if name not in allowed and ("*" not in allowed or name == "authorization")]
    if missing:
        seen = f"OPTIONS {answer.url}: Access-Control-Allow-Headers lacks {', '.join(missing)}."
        raise FaultFound("cors_missing", seen)


def judge_readable(answer: Answer, origin: str) -> None:
    """Judge whether a page of ``origin`` may read ``answer``.

    Raises:
        FaultFound: it may not.
    """
    allowed = answer.header("access-control-allow-origin")
    if allowed not in {"*", origin}:
        seen = f"{answer.url} answers a page of {origin} with Access-Control-Allow-Origin: {allowed or '(none)'}."
        raise FaultFound("cors_missing", seen)


def judge_exposed(answer: Answer, *names: str) -> None:
    """Judge whether a page may read the headers ``names`` of ``answer``.

    Raises:
        FaultFound: it may not.
    """
    exposed = _names(answer, "access-control-expose-headers")
    missing = [name for name in names if answer.header(name) and name not in exposed and "*" not in exposed]
    if missing:
        seen = f"{answer.url}: Access-Control-Expose-Headers lacks {', '.join(missing)}."
        raise FaultFound("cors_missing", seen)


def _names(answer: Answer, header: str) -> set[str]:
    return {name.strip().lower() for value in answer.all(header) for name in value.split(",")}
