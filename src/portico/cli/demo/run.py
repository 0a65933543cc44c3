"""The course of the demo: directory, servers, configuration, service, `demo.json`, and everything back."""

import asyncio
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

import click

from portico.cli.demo.announcement import announcement
from portico.cli.demo.configuration import GATEWAY, ISSUER, MACHINE, SCOPE, USER, write_configuration
from portico.cli.demo.place import Place, free_port, open_place, require_free
from portico.cli.demo.readiness import wait_for_tools
from portico.cli.demo.servers import Server, find_everything, start_calculator, start_everything
from portico.cli.printing import print_json
from portico.model.errors import PorticoError
from portico.process.child import ChildDied
from portico.service.serve import Running, serve
from portico.service.settings import Settings, load_settings
from portico.storage import gateways


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What the command line says."""

    port: int  #: 0 for any free one
    directory: Path
    as_json: bool


async def run_demo(options: Options) -> None:
    """Run until interrupted.

    Raises:
        PorticoError: something could not be started, or a server died; everything else was stopped.
    """
    async with AsyncExitStack() as stack:
        place = open_place(options.directory)
        stack.callback(place.close)
        port = options.port or free_port()
        require_free(port)
        servers = await _start_servers(stack, quiet=options.as_json)
        endpoints = {server.name: server.endpoint for server in servers}
        write_configuration(place, f"http://127.0.0.1:{port}", endpoints)
        settings = load_settings(place.config, environ={})  # what is set for another Portico does not concern this one
        await _Demo(place=place, servers=servers, as_json=options.as_json).run(settings)


async def _start_servers(stack: AsyncExitStack, *, quiet: bool) -> tuple[Server, ...]:
    package = find_everything()
    click.echo("Starting two MCP servers and Portico ...", err=quiet)
    servers: list[Server] = []
    for starting in (start_calculator(), start_everything(package)):
        server = await starting
        stack.push_async_callback(server.child.stop)
        servers.append(server)
    return tuple(servers)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Demo:
    """Portico and its two servers, as long as all three live."""

    place: Place
    servers: tuple[Server, ...]
    as_json: bool

    async def run(self, settings: Settings) -> None:
        """Serve until interrupted."""
        started = asyncio.get_running_loop().create_future()
        service = asyncio.create_task(serve(settings, ready=started.set_result))
        announcing = asyncio.create_task(self._announce(started))
        deaths = {asyncio.create_task(server.child.wait_death()) for server in self.servers}
        try:
            await _until_end(service, announcing, deaths)
        finally:
            for task in (announcing, *deaths):
                task.cancel()
            if started.done() and not started.cancelled():  # who waits for it and is cancelled, cancels it
                started.result().stop()
            else:
                service.cancel()
            await asyncio.wait([service])

    async def _announce(self, started: asyncio.Future[Running]) -> None:
        running = await started
        facts = await self._facts(running)
        await wait_for_tools(running.database, facts)
        if self.as_json:
            print_json(facts)
        else:
            click.echo(announcement(facts, facts_file=str(self.place.facts)))
        self.place.write_facts(facts)

    async def _facts(self, running: Running) -> dict[str, object]:
        async with running.database.read() as conn:
            gateway = await gateways.by_name(conn, GATEWAY)
        assert gateway is not None
        issuer = f"{running.public_url}/i/{ISSUER}"
        return {
            "public_url": running.public_url,
            "gateway_id": gateway.id,
            "mcp_url": f"{running.public_url}/g/{gateway.id}/mcp",
            "issuer": issuer,
            "user": {"name": USER, "password": self.place.password.reveal()},
            "machine": {
                "client_id": MACHINE,
                "client_secret": self.place.machine_secret.reveal(),
                "token_url": f"{issuer}/token",
                "scope": SCOPE,
            },
            "aws": {
                "access_key_id": self.place.access_key_id,
                "secret_access_key": self.place.secret_access_key.reveal(),
                "region": running.settings.process.region,
                "endpoint_url": running.public_url,
            },
            "targets": [server.name for server in self.servers],
        }


async def _until_end(
    service: asyncio.Task[None], announcing: asyncio.Task[None], deaths: set[asyncio.Task[ChildDied]]
) -> None:
    """Wait until the service ends or something goes wrong.

    Raises:
        PorticoError: what went wrong.
    """
    pending: set[asyncio.Task[None] | asyncio.Task[ChildDied]] = {service, announcing, *deaths}
    while not service.done():
        done, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            death = task.result()
            if death is not None:
                raise PorticoError(f"{death.public}\nEverything else was stopped; start the demo again.")
