"""``portico doctor``."""

import asyncio
import json
import os
import secrets
import sys
from typing import Any, cast
from urllib.parse import urlsplit

import click

from portico.cli.doctor.http import Wire
from portico.cli.doctor.journey import Journey, Order, Report
from portico.cli.doctor.login import Login
from portico.cli.doctor.masking import Masker
from portico.cli.doctor.profiles import PROFILES, Profile
from portico.cli.doctor.show import Shown, document
from portico.cli.doctor.walk import walk
from portico.cli.printing import json_option, print_json
from portico.model.secret import Secret

DEFAULT_TIMEOUT = 15.0  #: seconds that one request may take


@click.command()
@click.argument("url")
@click.option("--as", "client", type=click.Choice(list(PROFILES)), default="claude-code", show_default=True,
              help="The client whose path is walked.")  # fmt: skip
@click.option("--client-id", envvar="PORTICO_CLIENT_ID", default="", help="A client that was registered by hand.")
@click.option("--client-secret", envvar="PORTICO_CLIENT_SECRET", default="", help="Better given by the environment.")
@click.option("--issuer", envvar="PORTICO_ISSUER", default="", help="Whose the client secret is.")
@click.option("--redirect-uri", default="", help="The client's redirect URI, where it is another than usual.")
@click.option("--scope", default="", help="Scopes to ask for; else those that the server names.")
@click.option("--resource", default="", help="The resource to ask for; else the one of the metadata.")
@click.option("--token", envvar="PORTICO_TOKEN", default="", help="Skip the login and call with this access token.")
@click.option("--login/--no-login", default=None, help="Log in with a browser; by default when a person watches.")
@click.option("--no-browser", is_flag=True, help="Print the login link instead of opening a browser.")
@click.option("--call", nargs=2, metavar="TOOL JSON", default=None, help="Call this tool at the end.")
@click.option("--timeout", default=DEFAULT_TIMEOUT, show_default=True, help="Seconds that one request may take.")
@json_option
@click.pass_context
def doctor(
    context: click.Context, url: str, *, client: str, login: bool | None, no_browser: bool, timeout: float,
    as_json: bool, **given: Any,
) -> int:  # fmt: skip
    """Walk the path that a client would walk to the MCP server at URL, and say what is wrong and how to mend it.

    Exit codes: 0 no fault was found, 1 one was, 2 wrong usage.
    """
    order = _order(url, PROFILES[client], given)
    watched = sys.stdin.isatty() and sys.stdout.isatty() and not as_json
    person = Login(browser=not no_browser) if (watched if login is None else login) else None
    masker = Masker()
    report = asyncio.run(_walk(order, masker, person, timeout, as_json=as_json))
    if as_json:
        print_json(document(report, masker))
    return context.exit(1) if report.verdict == "fault" else 0


async def _walk(order: Order, masker: Masker, login: Login | None, timeout: float, *, as_json: bool) -> Report:  # noqa: ASYNC109  # of each request
    shown = Shown(masker, color=False if os.environ.get("NO_COLOR") else None)
    wire = Wire(timeout=timeout)
    journey = Journey(order=order, wire=wire, masker=masker, random=secrets.token_urlsafe, login=login)
    try:
        if not as_json:
            shown.begin(order)
        report = await walk(journey, (lambda _step: None) if as_json else shown.step)
        if not as_json:
            shown.end(report)
        return report
    finally:
        if login is not None:
            await login.aclose()
        await wire.aclose()


def _order(url: str, profile: Profile, given: dict[str, Any]) -> Order:
    """Return what is asked for.

    Raises:
        click.UsageError: it cannot be done.
    """
    _judge_url(url)
    if (
        profile.grant == "client_credentials"
        and not given["token"]
        and not (given["client_id"] and given["client_secret"])
    ):
        raise click.UsageError(f"--as {profile.name} needs --client-id and --client-secret, or --token.")
    if given["client_secret"] and not given["client_id"]:
        raise click.UsageError("--client-secret needs --client-id.")
    if profile.own_redirect and given["client_id"] and not given["redirect_uri"] and not given["token"]:
        raise click.UsageError(
            f"{profile.title} makes a redirect URI for every connection; give yours with --redirect-uri."
        )
    return Order(
        url=url,
        profile=profile,
        client_id=given["client_id"],
        client_secret=Secret(given["client_secret"]),
        issuer=given["issuer"],
        redirect_uri=given["redirect_uri"],
        scope=given["scope"],
        resource=given["resource"],
        token=Secret(given["token"]),
        call=_call(given["call"]),
    )


def _judge_url(url: str) -> None:
    try:
        parts = urlsplit(url)
        good = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0 and not parts.fragment
    except ValueError:
        good = False
    if not good:
        raise click.UsageError(f"{url} is not an http or https URL.")


def _call(given: tuple[str, str] | None) -> tuple[str, dict[str, Any]] | None:
    if given is None:
        return None
    name, text = given
    try:
        arguments: object = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise click.UsageError(f"The arguments of {name} are not JSON: {error}") from error
    if not isinstance(arguments, dict):
        raise click.UsageError(f"The arguments of {name} must be a JSON object.")
    return name, cast("dict[str, Any]", arguments)
