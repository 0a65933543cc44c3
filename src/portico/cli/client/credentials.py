"""Where logins are kept between commands: one JSON file, readable by its owner only, keyed by gateway URL."""

import fcntl
import json
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, cast

import click
from mcp.client.auth import OAuthClientProvider
from mcp.shared.auth import OAuthClientInformationFull, OAuthMetadata, OAuthToken

from portico.cli.private_file import write_private
from portico.model.errors import PorticoError

FILE_NAME: Final = "logins.json"
PRIVATE_DIRECTORY: Final = 0o700

_Record = dict[str, Any]


def default_file() -> Path:
    """Return the file in the user's configuration directory (``$XDG_CONFIG_HOME/portico`` on Linux)."""
    return Path(click.get_app_dir("portico")) / FILE_NAME


class Login:
    """What is kept for one gateway: tokens, the client's registration, the authorization server's metadata.

    Implements the SDK's ``TokenStorage``. Tokens are written as soon as they arrive, because a rotated refresh
    token that is lost ends the login.
    """

    def __init__(self, url: str, *, file: Path | None = None, clock: Callable[[], float] = time.time) -> None:
        self._url = url
        self.file = file or default_file()
        self._clock = clock

    async def get_tokens(self) -> OAuthToken | None:
        """Return the tokens of the last login, expired or not."""
        tokens = self._record().get("tokens")
        return None if tokens is None else OAuthToken.model_validate(tokens)

    async def set_tokens(self, tokens: OAuthToken) -> None:
        """Keep ``tokens`` and when they expire."""
        lifetime = tokens.expires_in
        with self._changing() as record:
            record["tokens"] = tokens.model_dump(mode="json", exclude_none=True)
            record["expires_at"] = None if lifetime is None else self._clock() + lifetime

    async def get_client_info(self) -> OAuthClientInformationFull | None:
        """Return how this client is registered at the gateway's authorization server."""
        client = self._record().get("client")
        return None if client is None else OAuthClientInformationFull.model_validate(client)

    async def set_client_info(self, client_info: OAuthClientInformationFull) -> None:
        """Keep the registration, for the next login."""
        with self._changing() as record:
            record["client"] = client_info.model_dump(mode="json", exclude_none=True)

    def restore(self, provider: OAuthClientProvider) -> None:
        """Tell ``provider`` what the SDK does not load by itself.

        Without the expiry it would send a dead token first; without the metadata it would refresh at the origin's
        ``/token``, which is not where an issuer with a path has its token endpoint.
        """
        record = self._record()
        provider.context.token_expiry_time = record.get("expires_at")
        if "metadata" in record:
            provider.context.oauth_metadata = OAuthMetadata.model_validate(record["metadata"])

    def remember_server(self, provider: OAuthClientProvider) -> None:
        """Keep the authorization server's metadata that ``provider`` discovered."""
        metadata = provider.context.oauth_metadata
        if metadata is None:
            return
        with self._changing() as record:
            record["metadata"] = metadata.model_dump(mode="json", exclude_none=True)

    def forget(self, *, registration: bool = False) -> None:
        """Drop the tokens; with ``registration`` all that is kept for this gateway."""
        with self._changing() as record:
            for member in ("tokens", "expires_at", *(("client", "metadata") if registration else ())):
                record.pop(member, None)

    def _record(self) -> _Record:
        return self._read().get(self._url, {})

    def _read(self) -> dict[str, _Record]:
        try:
            content = json.loads(self.file.read_bytes())
        except FileNotFoundError:
            return {}
        except (OSError, ValueError, RecursionError) as error:
            raise PorticoError(f"{self.file} cannot be read; delete it and log in again.", detail=str(error)) from error
        return cast("dict[str, _Record]", content) if isinstance(content, dict) else {}

    @contextmanager
    def _changing(self) -> "Generator[_Record]":
        """Yield this gateway's record and write the file afterwards; other commands wait meanwhile."""
        try:
            self.file.parent.mkdir(mode=PRIVATE_DIRECTORY, parents=True, exist_ok=True)
            with self.file.with_suffix(".lock").open("a") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                everything = self._read()
                yield everything.setdefault(self._url, {})
                write_private(self.file, json.dumps(everything, indent=2))
        except OSError as error:
            raise PorticoError(f"{self.file} cannot be written.", detail=error.strerror or "") from error
