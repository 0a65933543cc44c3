"""Targets, callers and calls for tests."""

from portico.model.call import ToolCall
from portico.model.principal import ANONYMOUS, Principal
from portico.model.target import McpServer, Target

VERSIONS = {"legacy": "2025-11-25", "modern": "2026-07-28"}


def target_at(url: str, **settings) -> Target:
    defaults = {"call_timeout": 60.0, "idle_timeout": 60.0, "connect_timeout": 60.0, "allow_private": True}
    return Target(id="t1", name="test", gateway_id="g1", kind=McpServer(endpoint=url), **defaults | settings)


def person(name: str) -> Principal:
    return Principal(kind="user", issuer="https://issuer.test", subject=name, client_id="c")


def tool_call(tool: str, *, era="modern", arguments=b"{}", **members) -> ToolCall:
    given = {"version": VERSIONS[era], "principal": ANONYMOUS} | members
    return ToolCall(tool=tool, arguments=arguments, era=era, **given)
