"""A gateway's rows, compiled: everything that a request needs to know, immutable, built beside the running one.

A snapshot holds one :class:`Endpoint` for the gateway (all targets, names ``target___tool``) and one for each target
(its own names), each with a catalog per revision that the gateway offers. Here it is decided in which era a target is
asked: in the client's own when the target speaks it, else in the other one. A call only looks it up.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import msgspec

from portico.gateway.catalog import Catalog, ToolEntry
from portico.model.gateway import Era, Gateway, JwtAuthorizer, NoAuthorizer, era_of
from portico.model.target import EraTools, Target
from portico.oauth.resource import gateway_resource, metadata_url, target_resource
from portico.protocol import naming, revisions, server, versions
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
    catalogs: Mapping[str, Catalog]  #: by the revision that the client speaks


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
    left_out = tuple(dict.fromkeys(compiler.left_out))  # the endpoints of single targets leave out the same
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
        discover=server.discover_result(
            gateway.supported_versions, instructions=gateway.instructions, logging=gateway.streaming
        ),
        left_out=left_out,
    )


class _NameTooLong(Exception):
    pass


@dataclass(frozen=True, slots=True, kw_only=True)
class _Described:
    """A tool as clients of one revision know it, but for its name here."""

    name: str  #: the target's
    members: dict[str, msgspec.Raw]
    mirrors: tuple[Mirror, ...]
    fault: str = ""  #: why such clients may not see it


class _Compiler:
    """Makes the endpoints of one gateway and notes what it leaves out."""

    def __init__(self, gateway: Gateway, public_url: str) -> None:
        self.left_out: list[str] = []
        self._gateway = gateway
        self._public_url = public_url
        self._described: dict[tuple[str, str], tuple[_Described, ...]] = {}  # by target id and revision

    def endpoint(self, name: str, targets: Sequence[Target]) -> Endpoint:
        own = gateway_resource(self._public_url, self._gateway.id)
        resource = target_resource(self._public_url, self._gateway.id, name) if name else own
        return Endpoint(
            target=name,
            resource=resource,
            metadata_url=metadata_url(resource),
            audience=frozenset({own, resource}),
            catalogs=self._catalogs(name, targets),
        )

    def _catalogs(self, name: str, targets: Sequence[Target]) -> dict[str, Catalog]:
        """Return a catalog per revision; those of one era that show the same are one."""
        made: dict[str, Catalog] = {}
        for version in self._gateway.supported_versions:
            catalog = self._catalog(name, targets, version)
            same = (known for of, known in made.items() if era_of(of) == era_of(version))
            made[version] = next((known for known in same if known.tools == catalog.tools), catalog)
        return made

    def _catalog(self, name: str, targets: Sequence[Target], version: str) -> Catalog:
        era = era_of(version)
        tools: dict[str, ToolEntry] = {}
        unavailable: dict[str, str] = {}
        shown: list[EraTools] = []
        for target in targets:
            offered = target.offered_to(era)
            if offered is None:
                unavailable[target.name] = _why_unavailable(target)
                self.left_out.append(unavailable[target.name])
                continue
            shown.append(offered)
            for tool in self._describe(target, offered, version):
                listed = tool.name if name else naming.join(target.name, tool.name)
                try:
                    tools[listed] = _entry(target, offered.era, tool, listed)
                except (InvalidAnnotation, _NameTooLong) as error:
                    self.left_out.append(f"Tool {tool.name!r} of target {target.name!r} is left out: {error}")
        return Catalog(
            scope=f"{self._gateway.id}/{name}/{era}",
            era=era,
            tools=tools,
            unavailable=unavailable,
            page_size=self._gateway.page_size,
            ttl_ms=min((server.CACHE_MS, *(offered.ttl_ms for offered in shown if offered.ttl_ms is not None))),
            public=self._is_public(shown),
        )

    def _is_public(self, shown: Sequence[EraTools]) -> bool:
        """Tell whether a list is the same for everybody: whoever authorizes may show each caller another one."""
        return isinstance(self._gateway.authorizer, NoAuthorizer) and all(offered.public for offered in shown)

    def _describe(self, target: Target, offered: EraTools, version: str) -> tuple[_Described, ...]:
        key = (target.id, version)
        if key not in self._described:
            self._described[key] = tuple(
                _described(tool.name, tool.definition, offered.era, version) for tool in offered.tools
            )
        return self._described[key]


def _described(name: str, definition: bytes, spoken: Era, version: str) -> _Described:
    """Describe a tool of a target that is asked in the era ``spoken`` for clients of ``version``."""
    members = revisions.tool_at(version, _open_tool(definition))
    for member in _NOT_SERVED:
        members.pop(member, None)
    mirrors: tuple[Mirror, ...] = ()
    fault = ""
    # Annotations mean something to modern clients, who must not see a bad one, and to modern targets.
    if "inputSchema" in members and "modern" in (spoken, era_of(version)):
        try:
            mirrors = mirrors_of(msgspec.json.decode(members["inputSchema"]))
        except InvalidAnnotation as error:
            fault = error.public
    return _Described(name=name, members=members, mirrors=mirrors, fault=fault)


def _entry(target: Target, era: Era, tool: _Described, listed: str) -> ToolEntry:
    if tool.fault:
        raise InvalidAnnotation(tool.fault)
    if len(listed) > naming.MAX_NAME_CHARS:
        raise _NameTooLong(f"its name has more than {naming.MAX_NAME_CHARS} characters here")
    named = {**tool.members, "name": msgspec.Raw(msgspec.json.encode(listed))}
    return ToolEntry(
        target=target.name, tool=tool.name, era=era, fragment=msgspec.json.encode(named), mirrors=tool.mirrors
    )


def _why_unavailable(target: Target) -> str:
    if not target.eras:
        return f"Target {target.name!r} has not been synchronized yet (its status is {target.status})."
    spoken = ", ".join(entry.version for entry in target.eras)
    return (
        f"Target {target.name!r} was found to speak MCP {spoken}, but its setting x-portico.era says "
        f"{target.era!r} only; its last synchronization says why that failed."
    )
