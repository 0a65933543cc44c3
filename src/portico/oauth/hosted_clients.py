"""What is known of the applications that administrators hold as clients: where their codes go, what they can. Pure.

Sources, read in November 2026:

- Copilot Studio: https://learn.microsoft.com/microsoft-copilot-studio/mcp-add-existing-server-to-agent (a redirect URL
  for each tool, told once it was saved); https://github.com/supabase/auth/issues/2585 (its connectors send no PKCE).
- ChatGPT: https://developers.openai.com/apps-sdk/build/auth; a redirect URL for each app, beside the former common one.
- Claude: https://support.claude.com, custom connectors.
- VS Code: https://github.com/microsoft/vscode/issues/278512 lists what it registers.
- Cursor: https://cursor.com/docs/mcp.
"""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True, kw_only=True)
class HostedClient:
    """One application."""

    name: str  #: as it is chosen by
    title: str
    redirect_uris: tuple[str, ...] = ()  #: the same for everybody who uses it
    redirects_later: str = ""  #: where it tells the redirect URL that is its own; empty: it has none
    needs_secret: bool = False  #: its form demands one; others log in as public clients too
    sends_pkce: bool = True
    sends_resource: bool = True  #: RFC 8707


HOSTED_CLIENTS: Final[tuple[HostedClient, ...]] = (
    HostedClient(
        name="copilot-studio",
        title="Microsoft Copilot Studio",
        redirects_later="Copilot Studio shows the redirect URL once the tool is saved",
        needs_secret=True,
        sends_pkce=False,
        sends_resource=False,
    ),
    HostedClient(
        name="chatgpt",
        title="ChatGPT",
        redirect_uris=("https://chatgpt.com/connector_platform_oauth_redirect",),
        redirects_later="ChatGPT shows for each app a callback URL of its own, https://chatgpt.com/connector/oauth/...",
    ),
    HostedClient(
        name="claude",
        title="Claude",
        redirect_uris=("https://claude.ai/api/mcp/auth_callback", "https://claude.com/api/mcp/auth_callback"),
    ),
    HostedClient(
        name="vscode",
        title="Visual Studio Code",
        redirect_uris=(
            "https://vscode.dev/redirect",
            "https://insiders.vscode.dev/redirect",
            "http://127.0.0.1:33418",
            "http://127.0.0.1:33418/",  # with the slash that its requests have
        ),
    ),
    HostedClient(
        name="cursor",
        title="Cursor",
        redirect_uris=(
            "http://localhost:8787/callback",
            "cursor://anysphere.cursor-mcp/oauth/callback",
            "https://www.cursor.com/agents/mcp/oauth/callback",
        ),
    ),
)


def hosted_client(name: str) -> HostedClient:
    """Return the application of that name.

    Raises:
        KeyError: it is not known.
    """
    return {hosted.name: hosted for hosted in HOSTED_CLIENTS}[name]
