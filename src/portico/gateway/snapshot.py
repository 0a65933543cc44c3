"""A gateway's rows, compiled: everything that a request needs to know, immutable, built beside the running one.

A snapshot holds one :class:`Endpoint` for the gateway (all targets, names ``target___tool``) and one for each target
(its own names), each with a catalog per revision that the gateway offers. Here it is decided in which era a target is
asked: in the client's own when the target speaks it, else in the other one. A call only looks it up.

A gateway may hold a hundred thousand tools, and mostly one target changes. So what was compiled of a target is carried
over from the snapshot before as long as the target is the same, and compiling goes in steps between which calls are
served.
"""

from collections.abc import Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

import msgspec

from portico.gateway.catalog import Catalog, Part, ToolEntry
from portico.model.gateway import Era, Gateway, JwtAuthorizer, NoAuthorizer, era_of
from portico.model.target import EraTools, Target
from portico.oauth.resource import gateway_resource, metadata_url, target_resource
from portico.protocol import naming, revisions, server, versions
from portico.protocol.mirrored import ANNOTATION, InvalidAnnotation, Mirror, mirrors_of
from portico.web.cors import OriginPolicy, policy_for

ALL_TARGETS: Final = ""  #: the name of the endpoint that shows every target
STEP_TOOLS: Final = 100  #: tools that are compiled between two steps at most; about a millisecond
STEP_TARGETS: Final = 500  #: targets that are carried over between two steps; likewise
#: Members of a tool that announce what is not served here (tasks of 2025-11-25).
_NOT_SERVED: Final = ("execution",)

_ANNOTATION: Final = ANNOTATION.encode()

_open_tool = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """One URL of a gateway: ``/g/{id}/mcp`` or ``/g/{id}/mcp/{target}``."""

    target: str  #: empty for the gateway's own
    resource: str  #: its canonical URL (RFC 8707)
    metadata_url: str  #: where its RFC 9728 document stands
    audience: frozenset[str]  #: a token of one of our issuers must be for one of these
    catalogs: Mapping[str, Catalog]  #: by the revision that the client speaks
    passed_headers: frozenset[bytes]  #: that a target here may be handed; names in lower case


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class CompiledTarget:
    """What was made of one target, to be carried over."""

    target: Target
    parts: Mapping[str, Part]  #: by revision
    endpoint: Endpoint
    left_out: tuple[str, ...]  #: sentences


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
    compiled: Mapping[str, CompiledTarget]  #: by target name


@dataclass(slots=True)
class Work:
    """What reading and compiling took, counted."""

    rows: int = 0  #: of targets that were read, with their tools
    targets: int = 0  #: that were not carried over
    tools: int = 0  #: of theirs that were compiled, once for each revision


def compile_snapshot(
    gateway: Gateway,
    targets: Sequence[Target],
    *,
    public_url: str,
    before: Snapshot | None = None,
    work: Work | None = None,
) -> Generator[None, None, Snapshot]:
    """Compile a gateway and its targets. Pure; yields about every millisecond, so that a caller may do other things.

    Of ``before`` everything is kept that belongs to targets which are there again: the very same values, not equal
    ones.
    """
    compiler = _Compiler(gateway, public_url, before, Work() if work is None else work)
    compiled: dict[str, CompiledTarget] = {}
    for number, target in enumerate(sorted(targets, key=_place)):
        compiled[target.name] = yield from compiler.target(target)
        if number % STEP_TARGETS == 0:
            yield
    whole = yield from compiler.whole(compiled.values())
    authorizer = gateway.authorizer
    return Snapshot(
        gateway=gateway,
        endpoints={ALL_TARGETS: whole} | {name: entry.endpoint for name, entry in compiled.items()},
        origins=policy_for(public_url, gateway.allowed_origins),
        scopes=authorizer.advertised_scopes if isinstance(authorizer, JwtAuthorizer) else (),
        initialize={
            version: server.initialize_result(version, title=gateway.name, instructions=gateway.instructions)
            for version in versions.legacy(gateway.supported_versions)
        },
        discover=server.discover_result(
            gateway.supported_versions, instructions=gateway.instructions, logging=gateway.streaming
        ),
        left_out=tuple(sentence for entry in compiled.values() for sentence in entry.left_out),
        compiled=compiled,
    )


def _place(target: Target) -> str:
    """Return what a target's tools are sorted by in the list of all targets."""
    return naming.join(target.name, "")


class _Compiler:
    """Makes the endpoints of one gateway."""

    def __init__(self, gateway: Gateway, public_url: str, before: Snapshot | None, work: Work) -> None:
        self._gateway = gateway
        self._own = gateway_resource(public_url, gateway.id)
        self._public_url = public_url
        self._before: Mapping[str, CompiledTarget] = {} if before is None else before.compiled
        self._same_shape = before is not None and _shape(before.gateway) == _shape(gateway)
        self._work = work

    def target(self, target: Target) -> Generator[None, None, CompiledTarget]:
        """Compile one target, or take it over."""
        known = self._before.get(target.name)
        if known is not None and known.target is target:
            if self._same_shape:
                return known
        else:
            known = None
            self._work.targets += 1
        parts: dict[str, Part] = {}
        left_out = dict.fromkeys(() if known is None else known.left_out)  # each sentence once, in order
        fragments: dict[bytes, bytes] = {}
        for version in self._gateway.supported_versions:
            part = None if known is None else known.parts.get(version)
            if part is None:
                made = _PartMaker(target, version, fragments)
                part = _shared(parts, (yield from made.steps(self._work)))
                left_out |= dict.fromkeys(made.left_out)
            parts[version] = part
        return CompiledTarget(
            target=target,
            parts=parts,
            endpoint=(
                yield from self._endpoint(
                    target.name,
                    {version: (part,) for version, part in parts.items()},
                    target.propagation.request_headers,
                )
            ),
            left_out=tuple(left_out),
        )

    def whole(self, compiled: Iterable[CompiledTarget]) -> Generator[None, None, Endpoint]:
        """Make the endpoint of all targets."""
        listed = list(compiled)
        shown: dict[str, tuple[Part, ...]] = {}
        for version in self._gateway.supported_versions:
            shown[version] = tuple([entry.parts[version] for entry in listed])
            yield
        passed = frozenset[bytes]().union(*(entry.endpoint.passed_headers for entry in listed))
        return (yield from self._endpoint(ALL_TARGETS, shown, passed))

    def _endpoint(
        self, name: str, parts: Mapping[str, tuple[Part, ...]], passed: frozenset[bytes]
    ) -> Generator[None, None, Endpoint]:
        resource = target_resource(self._public_url, self._gateway.id, name) if name else self._own
        return Endpoint(
            target=name,
            resource=resource,
            metadata_url=metadata_url(resource),
            audience=frozenset({self._own, resource}),
            catalogs=(yield from self._catalogs(name, parts)),
            passed_headers=passed,
        )

    def _catalogs(self, name: str, parts: Mapping[str, tuple[Part, ...]]) -> Generator[None, None, dict[str, Catalog]]:
        """Make a catalog per revision; those of one era that show the same are one."""
        made: dict[str, Catalog] = {}
        for version, shown in parts.items():
            era = era_of(version)
            alike = next((known for of, known in made.items() if era_of(of) == era and known.parts == shown), None)
            if alike is not None:
                made[version] = alike
                continue
            made[version] = Catalog(
                scope=f"{self._gateway.id}/{name}/{era}",
                era=era,
                parts=shown,
                prefixed=name == ALL_TARGETS,
                page_size=self._gateway.page_size,
                # Whoever authorizes may show each caller another list.
                public=isinstance(self._gateway.authorizer, NoAuthorizer),
            )
            yield
        return made


def _shape(gateway: Gateway) -> tuple[object, ...]:
    """Return everything of a gateway that its catalogs depend on."""
    is_open = isinstance(gateway.authorizer, NoAuthorizer)
    return (gateway.id, gateway.supported_versions, gateway.page_size, is_open)


def _shared(parts: Mapping[str, Part], part: Part) -> Part:
    """Return an earlier part of the same era that shows the same, else ``part``."""
    return next((known for known in parts.values() if _shows(known) == _shows(part)), part)


def _shows(part: Part) -> tuple[object, ...]:
    return (part.era, part.missing, part.names, part.tools, part.live)


def live_part(target: Target, offered: EraTools, version: str, *, public: bool) -> Generator[None, None, Part]:
    """Make the part of a target that was asked for its tools just now, in steps as :func:`compile_snapshot`."""
    return _PartMaker(target, version, {}).part_of(replace(offered, public=public), Work())


class _PartMaker:
    """Makes what clients of one revision are shown of one target, and notes what it leaves out."""

    def __init__(self, target: Target, version: str, fragments: dict[bytes, bytes]) -> None:
        self.left_out: list[str] = []
        self._target = target
        self._version = version
        self._fragments = fragments  # of this target: what is the same for several revisions is in memory once

    def steps(self, work: Work) -> Generator[None, None, Part]:
        """Make it, in steps."""
        era = era_of(self._version)
        if self._target.live_lists:
            spoken: Era = era if self._target.era == "auto" else self._target.era
            return Part(target=self._target.name, era=era, tools={}, names=(), live=spoken)
        offered = self._target.offered_to(era)
        if offered is None:
            missing = _why_unavailable(self._target)
            self.left_out.append(missing)
            return Part(target=self._target.name, era=era, tools={}, names=(), missing=missing)
        return (yield from self.part_of(offered, work))

    def part_of(self, offered: EraTools, work: Work) -> Generator[None, None, Part]:
        """Make the part of what the target offers, in steps."""
        tools: dict[str, ToolEntry] = {}
        for number, tool in enumerate(offered.tools, start=1):
            try:
                tools[tool.name] = self._entry(tool.name, tool.definition, offered.era)
            except (InvalidAnnotation, _NameTooLong) as error:
                self.left_out.append(f"Tool {tool.name!r} of target {self._target.name!r} is left out: {error}")
            work.tools += 1
            if number % STEP_TOOLS == 0:
                yield
        return Part(
            target=self._target.name,
            era=era_of(self._version),
            tools=tools,
            names=tuple(sorted(tools)),
            ttl_ms=_shortest(offered),
            public=offered.public,
        )

    def _entry(self, name: str, definition: bytes, spoken: Era) -> ToolEntry:
        """Describe a tool of a target that is asked in the era ``spoken``."""
        if len(naming.join(self._target.name, name)) > naming.MAX_NAME_CHARS:
            raise _NameTooLong(f"its name has more than {naming.MAX_NAME_CHARS} characters here")
        members = revisions.tool_at(self._version, _open_tool(definition))
        for member in ("name", *_NOT_SERVED):
            members.pop(member, None)
        mirrors: tuple[Mirror, ...] = ()
        # Annotations mean something to modern clients, who must not see a bad one, and to modern targets.
        means = "inputSchema" in members and "modern" in (spoken, era_of(self._version))
        if means and _may_annotate(definition):
            mirrors = mirrors_of(msgspec.json.decode(members["inputSchema"]))
        rest = msgspec.json.encode(members)[1:]
        fragment = b"," + rest if members else rest
        fragment = self._fragments.setdefault(fragment, fragment)
        return ToolEntry(target=self._target.name, tool=name, era=spoken, fragment=fragment, mirrors=mirrors)


def _may_annotate(definition: bytes) -> bool:
    """Say whether a definition may hold an annotation: walking a schema costs more than all else of a tool."""
    return _ANNOTATION in definition or b"\\u" in definition  # the name could be spelled with escapes


class _NameTooLong(Exception):
    pass


def _shortest(offered: EraTools) -> int:
    return server.CACHE_MS if offered.ttl_ms is None else min(offered.ttl_ms, server.CACHE_MS)


def _why_unavailable(target: Target) -> str:
    if not target.eras:
        return f"Target {target.name!r} has not been synchronized yet (its status is {target.status})."
    spoken = ", ".join(entry.version for entry in target.eras)
    return (
        f"Target {target.name!r} was found to speak MCP {spoken}, but its setting x-portico.era says "
        f"{target.era!r} only; its last synchronization says why that failed."
    )
