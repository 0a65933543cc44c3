"""The loopback redirect of a native client (RFC 8252 section 7.3): one answer is awaited, then it closes."""

import asyncio
from typing import Final
from urllib.parse import parse_qs, urlsplit

from mcp.shared.auth import AuthorizationCodeResult

from portico.model.errors import PorticoError

CALLBACK_PATH: Final = "/callback"
LOGIN_DEADLINE: Final = 300.0  #: seconds that a person has for logging in
_READ_DEADLINE: Final = 5.0  #: seconds for one request of the browser
_MAX_REQUEST_LINE: Final = 16 * 1024  #: bytes

_PAGE: Final = (
    "<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content='width=device-width'>"
    "<meta name=color-scheme content='light dark'><title>Portico</title>"
    "<body style='font:1.1rem system-ui;margin:20vh auto;max-width:30rem;text-align:center'>"
    "<h1>{title}</h1><p>{text}"
)


class LoopbackCallback:
    """Listens on 127.0.0.1 for the browser to come back with a code."""

    def __init__(self, *, path: str = CALLBACK_PATH) -> None:
        self._path = path
        self._server: asyncio.Server | None = None
        self._outcome: asyncio.Future[AuthorizationCodeResult] = asyncio.get_running_loop().create_future()
        self._state = ""
        self.port = 0
        self.parameters: dict[str, str] = {}  #: of the redirect that ended the login, an error's too

    async def open(self, port: int = 0) -> None:
        """Listen on ``port`` if it is free, else on any."""
        try:
            self._server = await asyncio.start_server(self._serve, "127.0.0.1", port, limit=_MAX_REQUEST_LINE)
        except OSError:
            self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, limit=_MAX_REQUEST_LINE)
        self.port = self._server.sockets[0].getsockname()[1]

    @property
    def redirect_uri(self) -> str:
        """Where the browser must come back to."""
        return f"http://127.0.0.1:{self.port}{self._path}"

    def expect(self, authorize_url: str) -> None:
        """Answer only to the ``state`` of ``authorize_url``: any page can make a browser call a loopback port."""
        self._state = parse_qs(urlsplit(authorize_url).query).get("state", [""])[0]

    async def result(self) -> AuthorizationCodeResult:
        """Wait for the browser.

        Raises:
            PorticoError: The login was refused, or took longer than :data:`LOGIN_DEADLINE`.
        """
        try:
            async with asyncio.timeout(LOGIN_DEADLINE):
                return await self._outcome
        except TimeoutError:
            raise PorticoError(f"Nobody logged in within {LOGIN_DEADLINE:.0f} seconds; try again.") from None

    async def aclose(self) -> None:
        """Stop listening."""
        if not self._outcome.done():
            self._outcome.cancel()
        if self._server is not None:
            self._server.close()
            await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(_READ_DEADLINE):
                request = (await reader.readline()).decode("latin-1").split(" ")
                status, title, text = self._judge(request)
                page = _PAGE.format(title=title, text=text).encode()
                writer.write(
                    f"HTTP/1.1 {status}\r\nContent-Type: text/html; charset=utf-8\r\nContent-Length: {len(page)}\r\n"
                    "Cache-Control: no-store\r\nReferrer-Policy: no-referrer\r\nConnection: close\r\n"
                    "Content-Security-Policy: default-src 'none'; style-src 'unsafe-inline'\r\n\r\n".encode()
                )
                writer.write(page)
                await writer.drain()
        except (OSError, TimeoutError, ValueError):  # a browser that leaves, or something that is no HTTP
            pass
        finally:
            writer.close()

    def _judge(self, request: list[str]) -> tuple[str, str, str]:
        parts = urlsplit(request[1]) if len(request) == 3 else urlsplit("")  # noqa: PLR2004  # method, target, version
        if request[0] != "GET" or parts.path != self._path:
            return "404 Not Found", "Nothing here", "This port waits for a login."
        values = {name: found[0] for name, found in parse_qs(parts.query).items()}
        if not self._state or values.get("state") != self._state or self._outcome.done():
            return "400 Bad Request", "Not the login that was started", "Go back to the terminal and try again."
        self.parameters = values
        if "code" in values:
            self._outcome.set_result(
                AuthorizationCodeResult(code=values["code"], state=values["state"], iss=values.get("iss"))
            )
            return "200 OK", "Logged in", "You can close this page and go back to the terminal."
        self._outcome.set_exception(_refusal(values))
        return "200 OK", "Not logged in", "You can close this page and go back to the terminal."


def _refusal(values: dict[str, str]) -> PorticoError:
    error = values.get("error", "")
    if error == "access_denied":
        return PorticoError("The login was declined in the browser.")
    said = values.get("error_description") or error or "no reason given"
    return PorticoError(f"The authorization server refused the login: {said}")
