"""``portico demo``."""

from pathlib import Path
from typing import Final

import click
import uvloop

from portico.cli.demo.run import Options, run_demo

DEFAULT_PORT: Final = 8080
DEFAULT_DIRECTORY: Final = Path(".portico") / "demo"
MAX_PORT: Final = 65_535


@click.command()
@click.option(
    "--port",
    type=click.IntRange(0, MAX_PORT),
    default=DEFAULT_PORT,
    show_default=True,
    help="Where to listen on 127.0.0.1; 0 takes any free port.",
)
@click.option(
    "--data-dir",
    type=click.Path(file_okay=False, path_type=Path),
    default=DEFAULT_DIRECTORY,
    show_default=True,
    help="Where database, keys and demo.json are kept; a second start finds them again.",
)
@click.option("--json", "as_json", is_flag=True, help="Print demo.json's content instead of prose.")
def demo(port: int, data_dir: Path, *, as_json: bool) -> None:
    """Start all of Portico and two example MCP servers, and print how to connect. Ctrl-C stops everything."""
    uvloop.run(run_demo(Options(port=port, directory=data_dir.absolute(), as_json=as_json)))
