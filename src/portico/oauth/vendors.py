"""The vendors of the AgentCore API's OAuth providers: where their endpoints are and how clients prove themselves there.

AWS names the vendors (``CredentialProviderVendorType``) and, for those whose every customer has a server of their
own, the endpoints to give (developer guide, the ``identity-idp-*`` pages). It does not publish what it uses for the
others: those are the vendors' own published endpoints (AWS-unverified). What a request gives goes before this table.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal, NamedTuple

Authentication = Literal["client_secret_basic", "client_secret_post"]

CUSTOM: Final = "CustomOauth2"
MICROSOFT: Final = "MicrosoftOauth2"
#: The vendors that have a member of their own in ``oauth2ProviderConfigInput`` are put there; all others are here.
INCLUDED_MEMBER: Final = "includedOauth2ProviderConfig"
TENANT: Final = "{tenant}"  #: stands in Microsoft's URLs for ``tenantId``
#: Entra's server for everybody. It answers with an error to client credentials, which need ``tenantId``.
DEFAULT_TENANT: Final = "common"

_BASIC: Final = "client_secret_basic"
_POST: Final = "client_secret_post"


class Endpoints(NamedTuple):
    """Where an authorization server is."""

    issuer: str
    authorization_endpoint: str
    token_endpoint: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Vendor:
    """One vendor."""

    name: str
    member: str = INCLUDED_MEMBER  #: of ``oauth2ProviderConfigInput`` and ``...Output``
    endpoints: Endpoints | None = None  #: None: every customer has a server of their own
    authentication: Authentication = _BASIC


_ALL: Final = (
    Vendor(
        name="GoogleOauth2",
        member="googleOauth2ProviderConfig",
        endpoints=Endpoints(
            "https://accounts.google.com",
            "https://accounts.google.com/o/oauth2/v2/auth",
            "https://oauth2.googleapis.com/token",
        ),
        authentication=_POST,
    ),
    Vendor(
        name="GithubOauth2",
        member="githubOauth2ProviderConfig",
        endpoints=Endpoints(
            "https://github.com/login/oauth",
            "https://github.com/login/oauth/authorize",
            "https://github.com/login/oauth/access_token",
        ),
        authentication=_POST,
    ),
    Vendor(
        name="SlackOauth2",
        member="slackOauth2ProviderConfig",
        endpoints=Endpoints(
            "https://slack.com",
            "https://slack.com/oauth/v2/authorize",
            "https://slack.com/api/oauth.v2.access",
        ),
        authentication=_POST,
    ),
    Vendor(
        name="SalesforceOauth2",
        member="salesforceOauth2ProviderConfig",
        endpoints=Endpoints(
            "https://login.salesforce.com",
            "https://login.salesforce.com/services/oauth2/authorize",
            "https://login.salesforce.com/services/oauth2/token",
        ),
        authentication=_POST,
    ),
    Vendor(
        name=MICROSOFT,
        member="microsoftOauth2ProviderConfig",
        endpoints=Endpoints(
            f"https://login.microsoftonline.com/{TENANT}/v2.0",
            f"https://login.microsoftonline.com/{TENANT}/oauth2/v2.0/authorize",
            f"https://login.microsoftonline.com/{TENANT}/oauth2/v2.0/token",
        ),
        authentication=_POST,
    ),
    Vendor(name=CUSTOM, member="customOauth2ProviderConfig"),
    Vendor(
        name="AtlassianOauth2",
        member="atlassianOauth2ProviderConfig",
        endpoints=Endpoints(
            "https://auth.atlassian.com",
            "https://auth.atlassian.com/authorize",
            "https://auth.atlassian.com/oauth/token",
        ),
        authentication=_POST,
    ),
    Vendor(
        name="LinkedinOauth2",
        member="linkedinOauth2ProviderConfig",
        endpoints=Endpoints(
            "https://www.linkedin.com/oauth",
            "https://www.linkedin.com/oauth/v2/authorization",
            "https://www.linkedin.com/oauth/v2/accessToken",
        ),
        authentication=_POST,
    ),
    Vendor(
        name="XOauth2",
        endpoints=Endpoints(
            "https://x.com",
            "https://x.com/i/oauth2/authorize",
            "https://api.x.com/2/oauth2/token",
        ),
    ),
    Vendor(name="OktaOauth2"),
    Vendor(name="OneLoginOauth2", authentication=_POST),  # the guide has the client set to POST
    Vendor(name="PingOneOauth2", authentication=_POST),  # the guide has machine clients set to Client Secret Post
    Vendor(
        name="FacebookOauth2",
        endpoints=Endpoints(
            "https://www.facebook.com",
            "https://www.facebook.com/dialog/oauth",
            "https://graph.facebook.com/oauth/access_token",
        ),
        authentication=_POST,
    ),
    Vendor(
        name="YandexOauth2",
        endpoints=Endpoints(
            "https://oauth.yandex.com",
            "https://oauth.yandex.com/authorize",
            "https://oauth.yandex.com/token",
        ),
    ),
    Vendor(
        name="RedditOauth2",
        endpoints=Endpoints(
            "https://www.reddit.com",
            "https://www.reddit.com/api/v1/authorize",
            "https://www.reddit.com/api/v1/access_token",
        ),
    ),
    Vendor(
        name="ZoomOauth2",
        endpoints=Endpoints(
            "https://zoom.us",
            "https://zoom.us/oauth/authorize",
            "https://zoom.us/oauth/token",
        ),
    ),
    Vendor(
        name="TwitchOauth2",
        endpoints=Endpoints(
            "https://id.twitch.tv/oauth2",
            "https://id.twitch.tv/oauth2/authorize",
            "https://id.twitch.tv/oauth2/token",
        ),
        authentication=_POST,
    ),
    Vendor(
        name="SpotifyOauth2",
        endpoints=Endpoints(
            "https://accounts.spotify.com",
            "https://accounts.spotify.com/authorize",
            "https://accounts.spotify.com/api/token",
        ),
    ),
    Vendor(
        name="DropboxOauth2",
        endpoints=Endpoints(
            "https://www.dropbox.com",
            "https://www.dropbox.com/oauth2/authorize",
            "https://api.dropboxapi.com/oauth2/token",
        ),
    ),
    Vendor(
        name="NotionOauth2",
        endpoints=Endpoints(
            "https://api.notion.com",
            "https://api.notion.com/v1/oauth/authorize",
            "https://api.notion.com/v1/oauth/token",
        ),
    ),
    Vendor(
        name="HubspotOauth2",
        endpoints=Endpoints(
            "https://app.hubspot.com",
            "https://app.hubspot.com/oauth/authorize",
            "https://api.hubapi.com/oauth/v1/token",
        ),
        authentication=_POST,
    ),
    Vendor(name="CyberArkOauth2"),
    Vendor(name="FusionAuthOauth2"),
    Vendor(name="Auth0Oauth2", authentication=_POST),
    Vendor(name="CognitoOauth2"),
)

#: Every vendor of the model, by AWS's name.
VENDORS: Final[Mapping[str, Vendor]] = {vendor.name: vendor for vendor in _ALL}
