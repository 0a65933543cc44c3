"""The client credentials grant as a client (RFC 6749 section 4.4): the request, and what its answer is worth. Pure.

The answer comes from a stranger: a token that could not stand in a header, a kind of token that is not a bearer's, a
page of HTML or a success that holds an error (GitHub, Slack) are refusals, each with a sentence that names the fix.
Left out is tolerated where real servers leave it out: ``token_type`` and ``expires_in``.
"""

import base64
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal
from urllib.parse import parse_qsl, quote_plus

from portico.model.secret import Secret
from portico.oauth.strict_json import parse_object
from portico.oauth.vendors import Authentication

#: Parameters that a target's ``customParameters`` may not set: they are ours to say.
OWN_PARAMETERS: Final = frozenset(
    {"grant_type", "client_id", "client_secret", "scope", "client_assertion", "client_assertion_type"}
)
MAX_TOKEN_CHARS: Final = 16 * 1024  #: longer ones fit into no header that a server takes
MAX_ERROR_CHARS: Final = 300  #: of a provider's own words that are shown
MAX_SCOPE_CHARS: Final = 8 * 1024  #: of what was granted
MAX_SECONDS: Final = 24 * 3600  #: a token is not kept longer, whatever its server says

_VISIBLE = re.compile(r"[!-~]+\Z", re.ASCII)  # RFC 6750 section 2.1 allows less; real tokens hold more than b64token
_SHOWN = re.compile(r"[^ -~]|[\"\\]")  # RFC 6749 section 5.2: what an error's texts may not hold
_DIGITS = re.compile(r"[0-9]{1,12}(\.[0-9]{1,9})?\Z", re.ASCII)
_OK: Final = 200
_UNAUTHORIZED: Final = 401
_SERVER_FAULTS: Final = 500


#: What has to be looked at: the client's id and secret, the scopes, what the client may do at all, the target's own
#: parameters, the token endpoint's URL, or nothing but the provider itself.
Blame = Literal["client", "scopes", "grant", "parameters", "endpoint", "provider"]


class TokenRefused(ValueError):
    """No token was to be had; its text is the provider's error, cleaned and cut. Never leaves ``identity``."""

    def __init__(self, words: str, *, blame: Blame, code: str = "") -> None:
        """Take the words, what to look at, and the OAuth error if there was one."""
        super().__init__(words)
        self.blame: Final[Blame] = blame
        self.code: Final = code


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenRequest:
    """What is posted to a token endpoint as ``application/x-www-form-urlencoded``."""

    form: Mapping[str, str]
    headers: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class IssuedToken:
    """A bearer token and what its server says of it; None where it does not say."""

    access_token: Secret
    expires_in: float | None = None  #: seconds
    scope: str | None = None  #: what was granted, by names apart


def token_request(
    *,
    client_id: str,
    client_secret: Secret,
    authentication: Authentication,
    scopes: Sequence[str],
    parameters: Mapping[str, str],
) -> TokenRequest:
    """Return the request for a token of the client itself.

    ``parameters`` are the provider's own (``audience``, ``resource``); they cannot replace one of the grant's.
    """
    form = {name: value for name, value in parameters.items() if name not in OWN_PARAMETERS}
    form["grant_type"] = "client_credentials"
    if scopes:
        form["scope"] = " ".join(scopes)
    if authentication == "client_secret_post":
        form |= {"client_id": client_id, "client_secret": client_secret.reveal()}
        return TokenRequest(form=form, headers={})
    return TokenRequest(form=form, headers={"Authorization": basic(client_id, client_secret)})


def basic(client_id: str, client_secret: Secret) -> str:
    """Return ``client_secret_basic``: both are form-encoded before they are joined (RFC 6749 section 2.3.1)."""
    pair = f"{quote_plus(client_id)}:{quote_plus(client_secret.reveal())}"
    return f"Basic {base64.b64encode(pair.encode()).decode()}"


def judge_answer(status: int, content_type: str, body: bytes) -> IssuedToken:
    """Return the token of an answer.

    Raises:
        TokenRefused: it holds an error, or no token that we could use.
    """
    return judge_members(status, read_members(content_type, body))


def judge_members(status: int, members: Mapping[str, Any]) -> IssuedToken:
    """Return the token of an answer whose members were read; raises what :func:`judge_answer` raises."""
    error = members.get("error")
    if error or members.get("ok") is False:
        raise _refusal(status, str(error or "no error code"), members.get("error_description"))
    if status != _OK:
        raise _without_words(status)
    token = members.get("access_token")
    if not isinstance(token, str) or not token:
        raise TokenRefused("the answer holds no access_token (is it a token endpoint?)", blame="endpoint")
    if len(token) > MAX_TOKEN_CHARS or _VISIBLE.match(token) is None:
        raise TokenRefused("the token is too long or holds characters that no header can", blame="provider")
    kind = members.get("token_type")
    if isinstance(kind, str) and kind.lower() != "bearer":
        raise TokenRefused(f"the token is of type {shown(kind)}, not Bearer", blame="provider")
    scope = members.get("scope")
    return IssuedToken(
        access_token=Secret(token),
        expires_in=_seconds(members.get("expires_in")),
        scope=shown(scope, MAX_SCOPE_CHARS) if isinstance(scope, str) else None,
    )


def read_members(content_type: str, body: bytes) -> Mapping[str, Any]:
    """Read JSON, or a form, which some servers send whatever is asked for; nothing else holds a member."""
    kind = content_type.partition(";")[0].strip().lower()
    if kind == "application/x-www-form-urlencoded":
        return dict(parse_qsl(body.decode("utf-8", "replace"), max_num_fields=50))
    try:
        return parse_object(body)
    except ValueError:
        return {}


def _without_words(status: int) -> TokenRefused:
    if status >= _SERVER_FAULTS:
        return TokenRefused(f"the provider answers with HTTP {status}", blame="provider")
    if status == _UNAUTHORIZED:
        return TokenRefused(f"the provider answers with HTTP {status}", blame="client")
    return TokenRefused(
        f"the provider answers with HTTP {status} and no OAuth error (is it a token endpoint?)",
        blame="endpoint",
    )


def _refusal(status: int, error: str, description: object) -> TokenRefused:
    code = shown(error)
    words = f"{code}: {shown(description)}" if isinstance(description, str) and description else code
    blame = _BLAMES.get(code)
    if blame is None:
        blame = "client" if status == _UNAUTHORIZED else "provider" if status >= _SERVER_FAULTS else "parameters"
    return TokenRefused(words, blame=blame, code=code)


#: What has to be looked at for an error of RFC 6749 section 5.2, RFC 8707 section 2, and for GitHub's own.
_BLAMES: Final[Mapping[str, Blame]] = {
    "invalid_client": "client",
    "incorrect_client_credentials": "client",
    "invalid_scope": "scopes",
    "unauthorized_client": "grant",
    "unsupported_grant_type": "grant",
    "invalid_target": "parameters",
    "invalid_request": "parameters",
    "temporarily_unavailable": "provider",
    "server_error": "provider",
}


def _seconds(value: object) -> float | None:
    """Return a lifetime; some servers send it as text, or 0 for what they do not know."""
    if isinstance(value, str) and _DIGITS.match(value):
        value = float(value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(min(value, MAX_SECONDS)) if value > 0 else None


def shown(text: str, most: int = MAX_ERROR_CHARS) -> str:
    """Return a stranger's words without what could break a line, a quotation or a log."""
    return _SHOWN.sub("?", text[:most])
