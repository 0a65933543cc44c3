"""A provider's token endpoint: what we post there, and what its answer is worth. Pure.

The answer is a stranger's. Only ``invalid_grant`` says that a login is over; everything else that goes wrong is the
provider's fault or our configuration's, and forgets nothing.
"""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Final

from portico.model.oauth_errors import InvalidGrant, ServerError
from portico.model.secret import Secret
from portico.oauth.client_credentials import TokenRefused, TokenRequest, basic, judge_members, read_members
from portico.oauth.connector_settings import ConnectorSettings
from portico.oauth.provider_adapters import Adapter
from portico.oauth.provider_metadata import ProviderMetadata
from portico.oauth.upstream import ProviderTokens

#: Seconds that a token is taken to live when its provider does not say (RFC 6749 section 5.1 leaves it out), or never
#: lets it end (GitHub).
DEFAULT_SECONDS: Final = 3600
MAX_REFRESH_TOKEN_CHARS: Final = 16 * 1024
#: Parameters of our requests that nobody but the provider may learn.
SECRET_PARAMETERS: Final = ("code", "code_verifier", "refresh_token")

_VISIBLE = re.compile(r"[ -~]+\Z", re.ASCII)  # RFC 6749 appendix A.17
#: What providers say instead of invalid_grant: GitHub's for a code and for a refresh token.
_GRANT_IS_OVER: Final = frozenset({"invalid_grant", "bad_verification_code", "bad_refresh_token"})


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenAnswer:
    """Tokens and the ID token beside them, which nobody has judged yet."""

    tokens: ProviderTokens
    unverified_id_token: str  #: empty: there is none


def code_request(
    settings: ConnectorSettings, *, code: str, verifier: str, redirect_uri: str, resource: Mapping[str, str]
) -> dict[str, str]:
    """Return the form that redeems a code (RFC 6749 section 4.1.3, RFC 7636 section 4.5)."""
    form = {"grant_type": "authorization_code", "code": code, "redirect_uri": redirect_uri, **resource}
    return form if settings.pkce is False else form | {"code_verifier": verifier}


def refresh_request(refresh_token: Secret, *, scope: str, resource: Mapping[str, str]) -> dict[str, str]:
    """Return the form that refreshes (RFC 6749 section 6); without ``scope`` all that was granted."""
    form = {"grant_type": "refresh_token", "refresh_token": refresh_token.reveal(), **resource}
    return form | {"scope": scope} if scope else form


def authenticated(
    form: Mapping[str, str],
    adapter: Adapter,
    settings: ConnectorSettings,
    metadata: ProviderMetadata,
    secret: Secret,
) -> TokenRequest:
    """Return ``form`` with the proof that it is us (RFC 6749 section 2.3.1)."""
    method = settings.token_auth_method or adapter.token_auth
    if method is None:
        methods = metadata.token_auth_methods
        posts = "client_secret_post" in methods and "client_secret_basic" not in methods
        method = "post" if posts else "basic"
    if method == "basic":
        return TokenRequest(form=form, headers={"Authorization": basic(settings.client_id, secret)})
    proof = {"client_id": settings.client_id}
    if method == "post":
        proof["client_secret"] = secret.reveal()
    return TokenRequest(form={**form, **proof}, headers={})


def judge_token_answer(
    status: int, content_type: str, body: bytes, *, kept: Secret | None = None, hidden: Collection[str] = ()
) -> TokenAnswer:
    """Return the tokens of an answer; ``kept`` is the refresh token to go on with when there is no new one.

    ``hidden`` is what was sent and must not come back into a log in the provider's words.

    Raises:
        InvalidGrant: the provider says that the code or refresh token is over.
        ServerError: any other refusal, or an answer that is none; its words are for the log.
    """
    members = read_members(content_type, body)
    try:
        issued = judge_members(status, members)
    except TokenRefused as refused:
        raise _fault(refused, hidden) from None  # whose words are not scrubbed
    tokens = ProviderTokens(
        access_token=issued.access_token,
        refresh_token=_refresh_token(members) or kept or Secret(""),
        expires_in=int(issued.expires_in or DEFAULT_SECONDS) or 1,
        scope=issued.scope or "",
    )
    id_token = members.get("id_token")
    return TokenAnswer(tokens=tokens, unverified_id_token=id_token if isinstance(id_token, str) else "")


def _refresh_token(members: Mapping[str, Any]) -> Secret | None:
    value = members.get("refresh_token")
    if value is None or value == "":
        return None
    if not isinstance(value, str) or len(value) > MAX_REFRESH_TOKEN_CHARS or not _VISIBLE.match(value):
        raise ServerError("The identity provider's answer is not usable.", detail="refresh_token is malformed")
    return Secret(value)


def _fault(refused: TokenRefused, hidden: Collection[str]) -> InvalidGrant | ServerError:
    words = str(refused)
    for secret in hidden:
        words = words.replace(secret, "********") if secret else words
    if refused.code in _GRANT_IS_OVER:
        return InvalidGrant("The identity provider says that this login is over; log in again.", detail=words)
    named = f" ({refused.code})" if refused.code in _KNOWN else ""
    return ServerError(
        f"The identity provider gave no tokens{named}; the administrator finds its words in the log.",
        detail=f"{words} (look at: {refused.blame})",
    )


#: RFC 6749 section 5.2 and RFC 8707 section 2: what may be named to a client.
_KNOWN: Final = frozenset(
    {
        "invalid_request",
        "invalid_client",
        "unauthorized_client",
        "unsupported_grant_type",
        "invalid_scope",
        "invalid_target",
    }
)
