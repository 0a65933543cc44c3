"""MCP's own answers: which version is spoken, what is listed, what a call brought. Pure."""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final, cast

from portico.cli.doctor.finding import FaultFound
from portico.cli.doctor.http import Answer
from portico.cli.doctor.judge_answer import cut, is_page, refuse_redirect, words
from portico.model.gateway import MODERN_VERSIONS

UNSUPPORTED_VERSION: Final = -32022
URL_CONSENT: Final = -32042
#: In ``_meta`` of Portico's lists: targets that are left out, each with the reason.
UNAVAILABLE_TARGETS: Final = "dev.portico/unavailableTargets"

_VERSION = re.compile(r"(?i)protocol[ -]?version|initialize handshake is not accepted")
_OUTBOUND = re.compile(
    r"(?i)failed to fetch outbound|no credential for this target|GetResourceOauth2Token|parsing ClientCredentials"
    r"|credential provider"
)
_PEOPLES_SCOPES = re.compile(r"\b(openid|profile|email|offline_access)\b|\binvalid_scope\b")
_OPAQUE = re.compile(r"(?i)an internal error occurred")


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """A JSON-RPC answer: a result, or an error."""

    result: dict[str, Any] | None = None
    code: int = 0
    text: str = ""
    supported: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """What a list of tools says."""

    tools: tuple[str, ...]
    notes: tuple[str, ...] = field(default_factory=tuple[str, ...])


def read_message(answer: Answer) -> Message:
    """Return the JSON-RPC answer that ``answer`` holds.

    Raises:
        FaultFound: it holds none.
    """
    refuse_redirect(answer)
    document = answer.json()
    if document is None or "jsonrpc" not in document:
        raise _no_message(answer)
    error: object = document.get("error")
    if isinstance(error, dict):
        return _error(cast("dict[str, Any]", error))
    result: object = document.get("result")
    if not isinstance(result, dict):
        raise FaultFound("not_mcp", f"{answer.url} answers with neither a result nor an error.")
    return Message(result=cast("dict[str, Any]", result))


def judge_discover(answer: Answer, spoken: Sequence[str]) -> str | None:
    """Return the version to go on with; None when the server does not speak the modern protocol.

    Raises:
        FaultFound: the server speaks modern versions only, and not one of ``spoken``.
    """
    document = answer.json() or {}
    if "jsonrpc" not in document:
        return None
    message = read_message(answer)
    if message.result is not None:
        offered = _strings(message.result.get("supportedVersions"))
        common = [version for version in spoken if version in offered]
        if common:
            return common[0]
        raise _no_common(spoken, offered)
    if message.code != UNSUPPORTED_VERSION:
        return None
    if not message.supported or set(message.supported) - set(MODERN_VERSIONS):
        return None  # an older version is worth an attempt
    raise _no_common(spoken, message.supported)


def judge_initialize(answer: Answer, *, requested: str, spoken: Sequence[str]) -> str:
    """Return the version that the server chose.

    Raises:
        FaultFound: it is not one that the client speaks, or the server refuses.
    """
    message = read_message(answer)
    if message.result is None:
        if message.code == UNSUPPORTED_VERSION or _VERSION.search(message.text):
            raise _no_common([requested], message.supported, said=message.text)
        raise FaultFound("rpc_error", f"initialize: {message.text} ({message.code})")
    version: object = message.result.get("protocolVersion")
    if not isinstance(version, str):
        raise FaultFound("not_mcp", "The answer to initialize has no protocolVersion.")
    if version not in spoken:
        raise _no_common(spoken, (version,))
    return version


def judge_list(answer: Answer) -> Listed:
    """Return the tools of the first page.

    Raises:
        FaultFound: there is no list, or nothing is in it because of the targets, or one is missing because the gateway
            gets no token for it.
    """
    message = read_message(answer)
    if message.result is None:
        raise _inside("tools/list", message.text, message.code)
    notes = _unavailable(message.result)
    tools: object = message.result.get("tools")
    if not isinstance(tools, list):
        raise FaultFound("not_mcp", "The answer to tools/list has no tools.")
    entries = [cast("dict[str, Any]", tool) for tool in cast("list[object]", tools) if isinstance(tool, dict)]
    if not entries and notes:
        raise FaultFound("targets_unavailable", notes[0])
    if not entries:
        notes.append("The list is empty: no target is ready, or a policy shows this caller nothing.")
    if message.result.get("nextCursor"):
        notes.append("There are more pages.")
    return Listed(tools=tuple(str(tool.get("name", "")) for tool in entries), notes=tuple(notes))


def judge_call(answer: Answer, tool: str) -> str:
    """Return what to say of a call that was answered.

    Raises:
        FaultFound: it failed.
    """
    message = read_message(answer)
    if message.result is None:
        if message.code == URL_CONSENT:
            return "The tool asks the person for consent at a third party first."
        raise _inside(f"tools/call {tool}", message.text, message.code)
    if message.result.get("resultType") == "input_required":
        return "The tool asks the person something first."
    text = _content(message.result)
    if message.result.get("isError") is True:
        raise _inside(f"tools/call {tool}", text, None)
    return f"{tool} answered."


def _inside(what: str, text: str, code: int | None) -> FaultFound:
    said = f"{what}: {cut(text)}" + ("" if code is None else f" ({code})")
    if _OUTBOUND.search(text):
        return _outbound(said, text)
    if _OPAQUE.search(text):
        return FaultFound("target_failed", said)
    return FaultFound("tool_error" if code is None else "rpc_error", said)


def _outbound(said: str, text: str) -> FaultFound:
    advice = ""
    if _PEOPLES_SCOPES.search(text):
        advice = (
            "openid, profile, email and offline_access are scopes of people's logins: take them out of the target's "
            "credential provider, which asks with client_credentials, and leave the API's own scope."
        )
    return FaultFound("outbound_token", said, advice=advice)


def _unavailable(result: dict[str, Any]) -> list[str]:
    meta: object = result.get("_meta")
    left: object = cast("dict[str, object]", meta).get(UNAVAILABLE_TARGETS) if isinstance(meta, dict) else None
    if not left:
        return []
    text = json.dumps(left, ensure_ascii=False)
    if _OUTBOUND.search(text):
        raise _outbound(f"tools/list leaves targets out: {cut(text)}", text)
    return [f"Targets are left out of the list: {cut(text)}"]


def _content(result: dict[str, Any]) -> str:
    """Return the text of a tool's result, with the gateway's debug text (AgentCore, exceptionLevel DEBUG)."""
    blocks: object = result.get("content")
    texts = [
        str(cast("dict[str, Any]", block).get("text", ""))
        for block in (cast("list[object]", blocks) if isinstance(blocks, list) else [])
        if isinstance(block, dict)
    ]
    meta: object = result.get("_meta")
    debug: object = cast("dict[str, object]", meta).get("debug") if isinstance(meta, dict) else None
    if isinstance(debug, dict):
        texts.append(str(cast("dict[str, Any]", debug).get("text", "")))
    return " ".join(dict.fromkeys(text for text in texts if text))


def _error(error: dict[str, Any]) -> Message:
    code: object = error.get("code")
    data: object = error.get("data")
    supported: object = cast("dict[str, object]", data).get("supported") if isinstance(data, dict) else None
    return Message(
        code=code if isinstance(code, int) else 0,
        text=cut(str(error.get("message", ""))),
        supported=_strings(supported),
    )


def _no_message(answer: Answer) -> FaultFound:
    if _VERSION.search(answer.text) and not is_page(answer):
        return FaultFound("protocol_version", f"{answer.url} answers {answer.status}{words(answer)}.")
    if answer.status in {404, 405}:
        return FaultFound("not_found", f"{answer.url} answers {answer.status}{words(answer)}.")
    kind = answer.content_type or "no content type"
    return FaultFound(
        "html" if is_page(answer) else "not_mcp", f"{answer.url} answers {answer.status} ({kind}){words(answer)}."
    )


def _no_common(spoken: Sequence[str], offered: Sequence[str], said: str = "") -> FaultFound:
    offers = f"the server offers {', '.join(offered)}" if offered else cut(said) or "the server offers none of them"
    return FaultFound("protocol_version", f"The client speaks {', '.join(spoken)}; {offers}.")


def _strings(value: object) -> tuple[str, ...]:
    items = cast("list[object]", value) if isinstance(value, list) else []
    return tuple(item for item in items if isinstance(item, str))
