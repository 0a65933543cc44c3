"""The parts of the measurement. Each starts its own processes, and says what its rounds are."""

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import control_plane
import logins
import psutil
from house import GatewayPlan, last_cursor, start_house
from peers import Street, start_peers
from processes import Cores
from rounds import Plan
from subjects import Era, start_nginx, start_stub

CONNECTIONS = 16
MANY_CONNECTIONS = 64
PAGE_SIZE = 100
TOOLS_PER_TARGET = 1000  #: what one target may have


@dataclass(slots=True, kw_only=True)
class Bench:
    """What a section builds with."""

    stack: contextlib.ExitStack
    place: Path
    quick: bool
    cores: Cores = field(default_factory=Cores.of_this_machine)
    notes: list[str] = field(default_factory=list)  #: for the report


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """A part of the measurement."""

    title: str
    build: Callable[[Bench], Sequence[Plan]] | None = None
    measure: Callable[[Bench], str] | None = None  #: instead of rounds; returns what is to be written
    half_load_of: str = ""  #: after the closed loop an open one, at half of this subject's best modern figure


def core(bench: Bench) -> list[Plan]:
    """The stub, nginx and Portico, both eras."""
    stub = start_stub(bench.stack, bench.place, bench.cores)
    nginx = start_nginx(bench.stack, bench.place, bench.cores, stub, tools=["echo"])
    house = start_house(
        bench.stack, bench.place / "portico", bench.cores, [GatewayPlan(name="bench", targets={"stub": stub.url})]
    )
    portico = house.subject("bench", ["stub___echo"])
    counts = (CONNECTIONS,) if bench.quick else (CONNECTIONS, MANY_CONNECTIONS)
    return [
        Plan(subject=subject, era=era, connections=count)
        for count in counts
        for subject, era in (
            (stub.subject(), "modern"),
            (nginx, "modern"),
            (portico, "modern"),
            (portico, "legacy"),
        )
    ]


def cells(bench: Bench) -> list[Plan]:
    """Clients of each era in front of targets that speak one era only."""
    legacy = start_stub(bench.stack, bench.place, bench.cores, era="legacy")
    modern = start_stub(bench.stack, bench.place, bench.cores, era="modern")
    plan = GatewayPlan(name="bench", targets={"legacy": legacy.url, "modern": modern.url})
    house = start_house(bench.stack, bench.place / "portico", bench.cores, [plan])
    pairs: list[tuple[Era, str]] = [(client, target) for client in ("legacy", "modern") for target in plan.targets]
    return [
        Plan(
            subject=house.subject("bench", [f"{target}___echo"]),
            era=client,
            case=f"{client} client, {target} target",
            connections=CONNECTIONS,
        )
        for client, target in pairs
    ]


def streams(bench: Bench) -> list[Plan]:
    """Answers that come as an event stream: one progress event, then the result."""
    stub = start_stub(bench.stack, bench.place, bench.cores)
    nginx = start_nginx(bench.stack, bench.place, bench.cores, stub, tools=["progress"], streams=True)
    plan = GatewayPlan(name="bench", targets={"stub": stub.url}, streams=True)
    house = start_house(bench.stack, bench.place / "portico", bench.cores, [plan])
    portico = house.subject("bench", ["stub___progress"])
    return [
        Plan(subject=subject, era=era, connections=CONNECTIONS, progress=True)
        for subject, era in (
            (stub.subject("progress"), "modern"),
            (nginx, "modern"),
            (portico, "modern"),
            (portico, "legacy"),
        )
    ]


def lists(bench: Bench) -> list[Plan]:
    """One page of tools/list, out of 10, 1,000 and 10,000 tools."""
    count = 10_000 // TOOLS_PER_TARGET
    stub = start_stub(bench.stack, bench.place, bench.cores, count=count)
    many = {f"t{index}": stub.url_on(port, tools=TOOLS_PER_TARGET) for index, port in enumerate(stub.ports)}
    plans = [
        GatewayPlan(name="tools-10", targets={"t0": stub.url_on(stub.ports[0], tools=10)}, page_size=10),
        GatewayPlan(name="tools-1000", targets={"t0": many["t0"]}, page_size=10),
        GatewayPlan(name="tools-10000", targets=many, page_size=10),
        GatewayPlan(name="page-1000", targets={"t0": many["t0"]}, page_size=PAGE_SIZE),
        GatewayPlan(name="page-10000", targets=many, page_size=PAGE_SIZE),
    ]
    house = start_house(bench.stack, bench.place / "portico", bench.cores, plans)
    found: list[Plan] = []
    for plan, title in zip(plans, ("10", "1,000", "10,000", "1,000", "10,000"), strict=True):
        subject = house.subject(plan.name, [])
        pages = {"first page": "", "last page": last_cursor(subject)}
        for page, cursor in pages.items():
            if page == "last page" and not cursor:
                continue
            case = f"{plan.page_size} of {title} tools, {page}"
            found.append(
                Plan(
                    subject=subject,
                    era="modern",
                    case=case,
                    connections=CONNECTIONS,
                    method="tools/list",
                    cursor=cursor,
                )
            )
    return found


def targets(bench: Bench) -> list[Plan]:
    """Calls that go to 1, 10 and 50 targets in turn, each at a port of its own."""
    counts = (1, 10, 50)
    stub = start_stub(bench.stack, bench.place, bench.cores, count=max(counts))
    plans = [
        GatewayPlan(name=f"targets-{count}", targets={f"t{n}": stub.url_on(stub.ports[n]) for n in range(count)})
        for count in counts
    ]
    house = start_house(bench.stack, bench.place / "portico", bench.cores, plans)
    return [
        Plan(
            subject=house.subject(plan.name, [f"{target}___echo" for target in plan.targets]),
            era="modern",
            case=f"{count} target{'s' if count > 1 else ''}",
            connections=CONNECTIONS,
        )
        for count, plan in zip(counts, plans, strict=True)
    ]


def workers(bench: Bench) -> list[Plan]:
    """One and two processes over one PostgreSQL."""
    from support.postgres import running_server  # noqa: PLC0415 - needs PostgreSQL's programs only here

    stub = start_stub(bench.stack, bench.place, bench.cores)
    server = bench.stack.enter_context(running_server())
    psutil.Process(server.process.pid).cpu_affinity(list(bench.cores.load))
    found: list[Plan] = []
    for count in (1, 2):
        cores = Cores.of_this_machine(servers=count)
        database = server.url(asyncio.run(server.create(migrated=True)))
        house = start_house(
            bench.stack,
            bench.place / f"portico-{count}",
            cores,
            [GatewayPlan(name="bench", targets={"stub": stub.url})],
            workers=count,
            database=database,
        )
        subject = house.subject("bench", ["stub___echo"])
        case = f"{count} worker{'s' if count > 1 else ''}, PostgreSQL"
        bench.notes.append(f"{case}: cores {', '.join(str(core) for core in cores.server)}")
        found += [
            Plan(subject=subject, era="modern", case=case, connections=connections)
            for connections in ((CONNECTIONS,) if bench.quick else (CONNECTIONS, MANY_CONNECTIONS))
        ]
    return sorted(found, key=lambda plan: plan.connections)


def peers(bench: Bench) -> list[Plan]:
    """The same call through the peers, beside stub, nginx and Portico in the same run."""
    stub = start_stub(bench.stack, bench.place, bench.cores)
    nginx = start_nginx(bench.stack, bench.place, bench.cores, stub, tools=["echo"])
    house = start_house(
        bench.stack, bench.place / "portico", bench.cores, [GatewayPlan(name="bench", targets={"stub": stub.url})]
    )
    portico = house.subject("bench", ["stub___echo"])
    street = Street(stack=bench.stack, place=bench.place, cores=bench.cores, stub=stub)
    others = start_peers(street)
    bench.notes += [f"not measured: {reason}" for reason in street.left_out]
    bench.notes += sorted({case.subject.version for case in others})
    return [
        Plan(subject=stub.subject(), era="modern", connections=CONNECTIONS),
        Plan(subject=nginx, era="modern", connections=CONNECTIONS),
        Plan(subject=portico, era="modern", connections=CONNECTIONS),
        Plan(subject=portico, era="legacy", case="legacy, stateless", connections=CONNECTIONS),
        *(Plan(subject=one.subject, era=one.era, case=one.case, connections=CONNECTIONS) for one in others),
    ]


def control(bench: Bench) -> str:
    """The control plane on a gateway with very many targets."""
    return control_plane.measure(bench.stack, bench.place, bench.cores, quick=bench.quick)


def people(bench: Bench) -> str:
    """Logins and tokens, and what calls feel meanwhile."""
    return logins.measure(bench.stack, bench.place, bench.cores, quick=bench.quick)


SECTIONS = {
    "core": Section(title="A call", build=core, half_load_of="portico"),
    "cells": Section(title="Era cells", build=cells),
    "streams": Section(title="Event streams", build=streams),
    "lists": Section(title="Lists", build=lists),
    "targets": Section(title="Targets", build=targets),
    "workers": Section(title="Workers", build=workers, half_load_of="portico"),
    "control": Section(title="Control plane", measure=control),
    "logins": Section(title="Logins and tokens", measure=people),
    "peers": Section(title="Peers", build=peers),
}
