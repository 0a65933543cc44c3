"""What real clients do on the way to a server: one row each.

Sources: redirect URIs and metadata documents as the clients' own documentation and the reports of server authors give
them (anthropics/claude-code #37767, erp-mafia/accounted #2225, agentifyanchor on Power Platform, OpenAI's "Build auth"
page); scopes as the clients' documentation says (code.claude.com/docs/en/mcp, CyberDrain/CIPP #278); the Inspector's
from its source, 2.12. What a vendor does not say is marked "assumed".
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

from portico.model.gateway import LEGACY_VERSIONS, MODERN_VERSIONS

Registration = Literal["document", "dynamic"]
Authentication = Literal["none", "client_secret_basic", "client_secret_post"]
Grant = Literal["authorization_code", "client_credentials"]

ANY_PORT: Final = "{port}"  #: in a redirect URI: whatever port is free at the time of the login


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """How one client goes about it."""

    name: str
    title: str
    versions: tuple[str, ...]  #: that it offers, in the order of its attempts
    redirect_uris: tuple[str, ...] = ()  #: that it registers; the first is the one that it uses
    own_redirect: bool = False  #: every connection has a redirect URI of its own, the one above is an example
    registration: tuple[Registration, ...] = ("dynamic",)  #: what it tries when it was given no client id, in order
    document: str = ""  #: its client id metadata document
    authentication: Authentication = "none"  #: at the token endpoint, when it has a secret
    grant: Grant = "authorization_code"
    pkce: bool = True
    sends_resource: bool = True
    reads_metadata: bool = True  #: False: a person pastes the endpoints, so that nothing in the metadata stops it
    reads_scopes: bool = True  #: asks for what challenge or resource metadata name; else for none unless told
    asks_offline: bool = False  #: adds offline_access where the server advertises it
    origin: str = ""  #: of its page, when it runs in a browser


_LEGACY_NEWEST_FIRST: Final = tuple(reversed(LEGACY_VERSIONS))

_ALL: Final = (
    Profile(
        name="claude-code",
        title="Claude Code",
        versions=_LEGACY_NEWEST_FIRST,
        redirect_uris=(f"http://localhost:{ANY_PORT}/callback",),
        registration=("document", "dynamic"),
        document="https://claude.ai/oauth/claude-code-client-metadata",
        asks_offline=True,
    ),
    Profile(
        name="cursor",
        title="Cursor",
        versions=_LEGACY_NEWEST_FIRST,  # assumed: those of the TypeScript SDK
        redirect_uris=(
            "http://localhost:8787/callback",
            "cursor://anysphere.cursor-mcp/oauth/callback",
            "https://www.cursor.com/agents/mcp/oauth/callback",
        ),
    ),
    Profile(
        name="copilot-studio",
        title="Copilot Studio",
        versions=("2025-03-26",),
        redirect_uris=("https://global.consent.azure-apim.net/redirect/portico-doctor",),
        own_redirect=True,
        authentication="client_secret_post",
        pkce=False,  # assumed: Power Platform's generic OAuth 2.0 connector
        sends_resource=False,  # likewise
        reads_metadata=False,
        reads_scopes=False,
    ),
    Profile(
        name="chatgpt",
        title="ChatGPT",
        versions=_LEGACY_NEWEST_FIRST,  # assumed
        redirect_uris=("https://chatgpt.com/connector/oauth/portico-doctor",),
        own_redirect=True,
        authentication="client_secret_post",
        asks_offline=True,
    ),
    Profile(
        name="inspector",
        title="MCP Inspector in a browser",
        versions=_LEGACY_NEWEST_FIRST,
        redirect_uris=("http://localhost:6274/oauth/callback",),
        asks_offline=True,
        origin="http://localhost:6274",
    ),
    Profile(
        name="machine",
        title="a program with client credentials",
        versions=(*MODERN_VERSIONS, *_LEGACY_NEWEST_FIRST),
        registration=(),
        authentication="client_secret_basic",
        grant="client_credentials",
        pkce=False,
    ),
)

#: Every client, by the name that ``--as`` takes.
PROFILES: Final[Mapping[str, Profile]] = {profile.name: profile for profile in _ALL}
