"""Secrets of credential providers that are moved: read from files or asked for, never made up."""

import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import click

from portico.model.errors import ConfigError, Fault
from portico.model.secret import Secret
from portico.storage.credential_providers import ProviderKind

#: Kind → how the files of its secrets begin; `portico export --secret-files` refers to the same names.
PREFIXES: Final[Mapping[ProviderKind, str]] = {"oauth2": "oauth2", "api_key": "api-key"}
NOUNS: Final[Mapping[ProviderKind, str]] = {
    "oauth2": "OAuth2 credential provider",
    "api_key": "API key credential provider",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class SecretFiles:
    """Where secrets come from."""

    directory: Path | None
    asks: bool  #: somebody sits at the terminal

    @classmethod
    def at(cls, directory: Path | None) -> "SecretFiles":
        """Read files of ``directory``, and ask for the others when there is somebody to ask."""
        return cls(directory=directory, asks=sys.stdin.isatty())

    def find(self, wanted: Iterable[tuple[ProviderKind, str]]) -> dict[tuple[ProviderKind, str], Secret]:
        """Return the secrets of providers.

        Raises:
            ConfigError: names every secret that was not given.
        """
        found: dict[tuple[ProviderKind, str], Secret] = {}
        faults: list[Fault] = []
        for kind, name in wanted:
            secret = self._file(kind, name) or (self._ask(kind, name) if self.asks else None)
            if secret is None:
                where = f"{PREFIXES[kind]}-{name} in the directory of --secret-files"
                message = f"its secret is missing; put it into a file {where}"
                faults.append(Fault(path=f"{NOUNS[kind]} {name}", message=message))
            else:
                found[kind, name] = secret
        if faults:
            raise ConfigError(faults)
        return found

    def _file(self, kind: ProviderKind, name: str) -> Secret | None:
        if self.directory is None:
            return None
        file = self.directory / f"{PREFIXES[kind]}-{name}"
        try:
            text = file.read_text(encoding="utf-8").rstrip("\r\n")
        except FileNotFoundError:
            return None
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError([Fault(path=str(file), message="cannot be read as text")]) from error
        return Secret(text) if text else None

    def _ask(self, kind: ProviderKind, name: str) -> Secret | None:
        text: str = click.prompt(f"Secret of the {NOUNS[kind]} {name}", hide_input=True, default="", err=True)
        return Secret(text) if text else None
