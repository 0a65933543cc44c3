"""``portico login``, ``portico tools`` and ``portico call``."""

import asyncio
import json
import sys
from collections.abc import Callable
from typing import Any, Final, TypeVar, cast
from urllib.parse import urlsplit

import click
from mcp.client import Client
from mcp.types import CallToolResult, ListToolsResult, Tool

from portico.cli.client.access import Access, Bearer, Machine, Person
from portico.cli.client.connection import PROTOCOLS, Endpoint, connected
from portico.cli.client.credentials import default_file
from portico.cli.client.rendering import result_text, tool_text
from portico.cli.printing import json_option, print_json, printable
from portico.model.errors import PorticoError
from portico.model.secret import Secret

DEFAULT_TIMEOUT: Final = 120.0  #: seconds that one request may take
MAX_PAGES: Final = 1000  #: pages of tools; a server that never ends is not followed for ever
#: In ``_meta`` of a list: targets that are left out, each with the reason.
UNAVAILABLE_TARGETS: Final = "dev.portico/unavailableTargets"

_F = TypeVar("_F", bound=Callable[..., Any])


def _connection_options(command: _F) -> _F:
    for option in (
        click.option("--timeout", default=DEFAULT_TIMEOUT, show_default=True, help="Seconds that a request may take."),
        click.option(
            "--protocol",
            type=click.Choice(list(PROTOCOLS)),
            default="auto",
            show_default=True,
            help="legacy: initialize (to 2025-11-25); modern: stateless (2026-07-28); auto: ask the server.",
        ),
        click.option("--no-browser", is_flag=True, help="Print the login link instead of opening a browser."),
    ):
        command = option(command)
    return command


def _access_options(command: _F) -> _F:
    for option in (
        click.option("--issuer", envvar="PORTICO_ISSUER", default="", help="Whose the client secret is."),
        click.option("--scope", default="", help="Scopes to ask for with client credentials."),
        click.option("--client-secret", envvar="PORTICO_CLIENT_SECRET", help="Better given by the environment."),
        click.option("--client-id", envvar="PORTICO_CLIENT_ID", help="Call as a machine client."),
        click.option("--token", envvar="PORTICO_TOKEN", help="Call with this access token."),
    ):
        command = option(command)
    return command


@click.command()
@click.argument("url")
@_connection_options
def login(url: str, protocol: str, timeout: float, *, no_browser: bool) -> None:
    """Log in to the gateway at URL with your browser and keep the login for later commands."""
    access = Person(ask="print" if no_browser else "browser", anew=True)
    found = asyncio.run(_list_tools(_endpoint(url, access, protocol, timeout)))
    click.echo(f"Logged in to {url}: {len(found.tools)} tools.")
    click.echo(f"The login is kept in {default_file()}")


@click.command()
@click.argument("url")
@_access_options
@_connection_options
@json_option
def tools(
    url: str,
    protocol: str,
    timeout: float,
    *,
    as_json: bool,
    **access: Any,
) -> None:
    """List the tools of the gateway at URL."""
    found = asyncio.run(_list_tools(_endpoint(url, _access(**access), protocol, timeout)))
    if as_json:
        print_json([tool.model_dump(mode="json", by_alias=True, exclude_none=True) for tool in found.tools])
    else:
        click.echo("\n".join(tool_text(tool) for tool in found.tools) or "No tools.")
    _tell_unavailable(found)


@click.command()
@click.argument("url")
@click.argument("tool")
@click.argument("arguments", default="{}")
@_access_options
@_connection_options
@json_option
def call(
    url: str,
    tool: str,
    arguments: str,
    protocol: str,
    timeout: float,
    *,
    as_json: bool,
    **access: Any,
) -> int:
    """Call TOOL of the gateway at URL with ARGUMENTS, a JSON object; `-` reads them from standard input.

    Exit code 1 when the tool reports an error.
    """
    given = _arguments(sys.stdin.read() if arguments == "-" else arguments)
    result = asyncio.run(_call_tool(_endpoint(url, _access(**access), protocol, timeout), tool, given))
    if as_json:
        print_json(result.model_dump(mode="json", by_alias=True, exclude_none=True))
    else:
        click.echo(result_text(result), err=bool(result.is_error))
    return 1 if result.is_error else 0


def _access(
    *,
    token: str | None,
    client_id: str | None,
    client_secret: str | None,
    scope: str,
    issuer: str,
    no_browser: bool,
) -> Access:
    if token is not None and client_id is not None:
        raise click.UsageError("Give either --token or --client-id, not both.")
    if token is not None:
        return Bearer(token=Secret(token))
    if client_id is not None:
        if client_secret is None:
            raise click.UsageError("--client-id needs --client-secret or PORTICO_CLIENT_SECRET.")
        return Machine(client_id=client_id, client_secret=Secret(client_secret), scope=scope, issuer=issuer)
    if no_browser:
        return Person(ask="print")
    # A script must fail where a person can be asked.
    return Person(ask="browser" if sys.stderr.isatty() else "never")


async def _list_tools(endpoint: Endpoint) -> ListToolsResult:
    async with connected(endpoint) as client:
        return await _every_page(client)


async def _every_page(client: Client) -> ListToolsResult:
    first = await client.list_tools()
    collected: list[Tool] = list(first.tools)
    cursor = first.next_cursor
    for _ in range(MAX_PAGES):
        if cursor is None:
            return first.model_copy(update={"tools": collected, "next_cursor": None})
        page = await client.list_tools(cursor=cursor)
        collected += page.tools
        cursor = page.next_cursor
    raise PorticoError(f"The list of tools has more than {MAX_PAGES} pages; the server seems not to end it.")


async def _call_tool(endpoint: Endpoint, tool: str, arguments: dict[str, Any]) -> CallToolResult:
    async with connected(endpoint) as client:
        return await client.call_tool(tool, arguments, progress_callback=_show_progress)


async def _show_progress(progress: float, total: float | None, message: str | None) -> None:
    of = f"/{total:g}" if total is not None else ""
    click.echo(printable(f"progress {progress:g}{of} {message or ''}".rstrip()), err=True)


def _arguments(text: str) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise click.UsageError(f"ARGUMENTS is not JSON: {error}") from error
    if not isinstance(value, dict):
        raise click.UsageError("ARGUMENTS must be a JSON object, for example '{\"a\": 1}'.")
    return cast("dict[str, Any]", value)


def _endpoint(url: str, access: Access, protocol: str, timeout: float) -> Endpoint:
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise click.UsageError(f"URL must be an http or https address of an MCP endpoint, not {url!r}.")
    return Endpoint(url=url, access=access, protocol=protocol, timeout=timeout)


def _tell_unavailable(found: ListToolsResult) -> None:
    """Name the targets that are left out on stderr, beside the list and not in it."""
    left_out = cast("object", (found.meta or {}).get(UNAVAILABLE_TARGETS))
    if not isinstance(left_out, list) or not left_out:
        return
    for entry in cast("list[object]", left_out):
        reason = cast("dict[str, object]", entry).get("reason") if isinstance(entry, dict) else entry
        click.echo(printable(f"Left out: {reason}"), err=True)
