"""A gateway's rows, compiled: everything that a request needs to know, immutable, built beside the running one.

A snapshot holds one :class:`Endpoint` for the gateway (all targets, names ``target___tool``) and one for each target
(its own names), each with a catalog per era that the gateway offers.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import msgspec

from portico.gateway.catalog import Catalog, ToolEntry
from portico.model.gateway import Era, Gateway, JwtAuthorizer, era_of
from portico.model.target import Target, Tool
from portico.oauth.resource import gateway_resource, metadata_url, target_resource
from portico.protocol import naming, server, versions
from portico.protocol.mirrored import InvalidAnnotation, Mirror, mirrors_of
from portico.web.cors import OriginPolicy, policy_for

ALL_TARGETS: Final = ""  #: the name of the endpoint that shows every target
#: Members of a tool that announce what is not served here (tasks of 2025-11-25).
_NOT_SERVED: Final = ("execution",)

_open_tool = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """One URL of a gateway: ``/g/{id}/mcp`` or ``/g/{id}/mcp/{target}``."""

    target: str  #: empty for the gateway's own
    resource: str  #: its canonical URL (RFC 8707)
    metadata_url: str  #: where its RFC 9728 document stands
    audience: frozenset[str]  #: a token of one of our issuers must be for one of these
    catalogs: Mapping[Era, Catalog]


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """A gateway at one revision."""

    gateway: Gateway
    endpoints: Mapping[str, Endpoint]  #: by target name, ``ALL_TARGETS`` for the gateway's own
    origins: OriginPolicy
    scopes: tuple[str, ...]  #: what challenges and metadata advertise
    initialize: Mapping[str, bytes]  #: result by negotiated revision
    discover: bytes
    left_out: tuple[str, ...]  #: sentences for the log: targets and tools that are not listed, and why


def compile_snapshot(gateway: Gateway, targets: Sequence[Target], *, public_url: str) -> Snapshot:
    """Compile a gateway and its targets. Pure; costs time in the number of tools."""
    compiler = _Compiler(gateway, public_url)
    endpoints = {ALL_TARGETS: compiler.endpoint(ALL_TARGETS, targets)}
    left_out = tuple(compiler.left_out)  # the endpoints of single targets leave out the same
    for target in targets:
        endpoints[target.name] = compiler.endpoint(target.name, [target])
    authorizer = gateway.authorizer
    return Snapshot(
        gateway=gateway,
        endpoints=endpoints,
        origins=policy_for(public_url, gateway.allowed_origins),
        scopes=authorizer.advertised_scopes if isinstance(authorizer, JwtAuthorizer) else (),
        initialize={
            version: server.initialize_result(version, title=gateway.name, instructions=gateway.instructions)
            for version in versions.legacy(gateway.supported_versions)
        },
        discover=server.discover_result(gateway.supported_versions, instructions=gateway.instructions),
        left_out=left_out,
    )


class _Compiler:
    """Makes the endpoints of one gateway and notes what it leaves out."""

    def __init__(self, gateway: Gateway, public_url: str) -> None:
        self.left_out: list[str] = []
        self._gateway = gateway
        self._public_url = public_url
        self._eras: list[Era] = sorted({era_of(version) for version in gateway.supported_versions})

    def endpoint(self, name: str, targets: Sequence[Target]) -> Endpoint:
        own = gateway_resource(self._public_url, self._gateway.id)
        resource = target_resource(self._public_url, self._gateway.id, name) if name else own
        return Endpoint(
            target=name,
            resource=resource,
            metadata_url=metadata_url(resource),
            audience=frozenset({own, resource}),
            catalogs={era: self._catalog(name, targets, era) for era in self._eras},
        )

    def _catalog(self, name: str, targets: Sequence[Target], era: Era) -> Catalog:
        tools: dict[str, ToolEntry] = {}
        unavailable: dict[str, str] = {}
        for target in targets:
            offered = target.tools_in(era)
            if offered is None:
                unavailable[target.name] = _why_unavailable(target, era)
                self.left_out.append(unavailable[target.name])
                continue
            for tool in offered.tools:
                listed = tool.name if name else naming.join(target.name, tool.name)
                try:
                    tools[listed] = _entry(target, tool, listed)
                except (InvalidAnnotation, _NameTooLong) as error:
                    self.left_out.append(f"Tool {tool.name!r} of target {target.name!r} is left out: {error}")
        return Catalog(
            scope=f"{self._gateway.id}/{name}/{era}",
            era=era,
            tools=tools,
            unavailable=unavailable,
            page_size=self._gateway.page_size,
        )


class _NameTooLong(Exception):
    pass


def _entry(target: Target, tool: Tool, listed: str) -> ToolEntry:
    if len(listed) > naming.MAX_NAME_CHARS:
        raise _NameTooLong(f"its name has more than {naming.MAX_NAME_CHARS} characters here")
    members = _open_tool(tool.definition)
    mirrors: tuple[Mirror, ...] = ()
    if "inputSchema" in members:
        mirrors = mirrors_of(msgspec.json.decode(members["inputSchema"]))
    for name in _NOT_SERVED:
        members.pop(name, None)
    members["name"] = msgspec.Raw(msgspec.json.encode(listed))
    return ToolEntry(target=target.name, tool=tool.name, fragment=msgspec.json.encode(members), mirrors=mirrors)


def _why_unavailable(target: Target, era: Era) -> str:
    if not target.eras:
        return f"Target {target.name!r} has not been synchronized yet (its status is {target.status})."
    spoken = ", ".join(entry.version for entry in target.eras)
    asked = "2026-07-28" if era == "modern" else "2025-11-25 or earlier"
    return (
        f"Target {target.name!r} speaks MCP {spoken} only; a client that speaks {asked} cannot reach it through this "
        "gateway yet."
    )
