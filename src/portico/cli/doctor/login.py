"""The person's part: a browser is sent to the login page, and what it brings back is awaited.

A loopback redirect is listened for, as ``portico login`` does. A hosted one belongs to the client's vendor; the person
then pastes the address that the browser ended at.
"""

import webbrowser
from urllib.parse import urlsplit

import click

from portico.cli.client.callback import LoopbackCallback
from portico.cli.doctor.judge_authorization import parameters_of
from portico.cli.doctor.profiles import ANY_PORT
from portico.cli.printing import printable
from portico.model.errors import PorticoError
from portico.oauth.redirect_uri import parse_loopback


class Login:
    """One login."""

    def __init__(self, *, browser: bool) -> None:
        """With ``browser`` one is opened; without, the link is only printed."""
        self._browser = browser
        self._callback: LoopbackCallback | None = None

    async def open(self, redirect_uri: str) -> str:
        """Listen for ``redirect_uri`` when it is a loopback one, and return it with its port.

        Raises:
            PorticoError: its port is taken.
        """
        loopback = parse_loopback(redirect_uri.replace(f":{ANY_PORT}", ""))
        if loopback is None:
            return redirect_uri
        self._callback = LoopbackCallback(path=loopback.rest.partition("?")[0] or "/")
        await self._callback.open(loopback.port or 0)
        if loopback.port and self._callback.port != loopback.port:
            raise PorticoError(f"Port {loopback.port} of this machine is taken, and the client's redirect goes there.")
        return redirect_uri.replace(ANY_PORT, str(self._callback.port))

    async def bring(self, url: str) -> dict[str, str]:
        """Send the person to ``url`` and return the parameters of the redirect that ends the login.

        Raises:
            PorticoError: nobody logged in in time.
        """
        if self._callback is not None:
            self._callback.expect(url)
        click.echo(f"Log in with your browser:\n\n  {printable(url)}\n", err=True)
        # The link comes from the server: it goes to a browser only as http(s), never to a shell (T6).
        if self._browser and urlsplit(url).scheme in {"http", "https"}:
            webbrowser.open(url)
        if self._callback is None:
            pasted: str = click.prompt("Paste the address at which the browser ended", err=True)
            return parameters_of(pasted.strip())
        try:
            await self._callback.result()
        except PorticoError:
            if not self._callback.parameters:
                raise
        return self._callback.parameters

    async def aclose(self) -> None:
        """Stop listening."""
        if self._callback is not None:
            await self._callback.aclose()
