"""The values that an administrator pastes into a hosted application, as a table and as JSON. Needs no database."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import click

from portico.cli.printing import print_json, printable
from portico.model.secret import Secret

STARS: Final = "(shown once, when it was made)"


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientTable:
    """One client, as its application has to be told."""

    client_id: str
    client_secret: Secret | None = None  #: None: it has none, or it is not told again
    has_secret: bool = False
    issuer_url: str
    scopes: tuple[str, ...] = ()
    redirect_uris: tuple[str, ...] = ()
    server_urls: tuple[str, ...] = ()  #: of the MCP endpoints that its tokens are for
    pkce_required: bool = True

    def values(self) -> dict[str, Any]:
        """Return everything for a program; the secret only when it is told."""
        secret = {"client_secret": self.client_secret.reveal()} if self.client_secret is not None else {}
        return {
            "client_id": self.client_id,
            **secret,
            "issuer_url": self.issuer_url,
            "authorize_url": f"{self.issuer_url}/authorize",
            "token_url": f"{self.issuer_url}/token",
            "refresh_url": f"{self.issuer_url}/token",
            "scopes": list(self.scopes),
            "redirect_uris": list(self.redirect_uris),
            "server_urls": list(self.server_urls),
            "pkce_required": self.pkce_required,
            "token_authentication": list(self._authentication()),
        }

    def rows(self) -> list[tuple[str, str]]:
        """Return label and value of each line, named as the applications' forms name them."""
        values = self.values()
        secret = values.get("client_secret", STARS if self.has_secret else "(none: leave it empty)")
        return [
            *_lines("Server URL", self.server_urls, none="(no gateway trusts this issuer yet)"),
            ("Client ID", self.client_id),
            ("Client secret", secret),
            ("Authorization URL", values["authorize_url"]),
            ("Token URL", values["token_url"]),
            ("Refresh URL", values["refresh_url"]),
            ("Scopes", " ".join(self.scopes)),
            ("Token authentication", " or ".join(self._authentication())),
            ("PKCE", "S256, required" if self.pkce_required else "S256 when the application sends it, not required"),
            *_lines("Redirect URL", self.redirect_uris, none="(none yet: nobody can log in)"),
        ]

    def _authentication(self) -> tuple[str, ...]:
        return ("client_secret_post", "client_secret_basic") if self.has_secret else ("none",)


def print_client_table(table: ClientTable, *, as_json: bool, more: Sequence[str] = ()) -> None:
    """Print the values; ``more`` are sentences for a person, which a program is not told."""
    if as_json:
        print_json(table.values())
        return
    rows = table.rows()
    width = max(len(label) for label, _ in rows)
    for label, value in rows:
        click.echo(f"{label.ljust(width)}  {printable(value)}".rstrip())
    for sentence in more:
        click.echo(f"\n{printable(sentence)}")


def _lines(label: str, values: Sequence[str], *, none: str) -> list[tuple[str, str]]:
    """Return a line for each value, the label at the first."""
    return [(label if number == 0 else "", value) for number, value in enumerate(values or (none,))]
