"""What a provider sends a browser back to us with: whether it is its own, and the code or the error. Pure."""

import re
from typing import Final

from portico.model.errors import Forbidden
from portico.model.oauth_errors import AccessDenied, OAuthError, ServerError, TemporarilyUnavailable
from portico.oauth.client_credentials import shown
from portico.oauth.parameters import Parameters
from portico.oauth.provider_adapters import TENANT_TEMPLATE
from portico.oauth.provider_metadata import ProviderMetadata

MAX_CODE_CHARS: Final = 4096  #: Entra's have some 1.5 thousand

_CODE = re.compile(r"[ -~]+\Z", re.ASCII)  # RFC 6749 appendix A.11
TENANT: Final = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\Z", re.ASCII)

#: Said of the person, not of us: the login did not happen, and asking again may help.
_OF_PERSONS: Final = frozenset(
    {"access_denied", "login_required", "interaction_required", "consent_required", "account_selection_required"}
)
#: Said of the request that we made, so of how the connector is set up (RFC 6749 section 4.1.2.1, RFC 8707 section 2).
_OF_US: Final = frozenset(
    {
        "invalid_request",
        "unauthorized_client",
        "unsupported_response_type",
        "invalid_scope",
        "invalid_target",
        "server_error",
    }
)


def judge_callback(parameters: Parameters, metadata: ProviderMetadata) -> str:
    """Return the authorization code. Whose callback it is was judged before, by ``state`` and the browser's cookie.

    Raises:
        Forbidden: ``iss`` is another provider's, or missing although this one sends it (RFC 9207 section 2.4); also on
            an error, which could be another provider's as well.
        InvalidRequest: a parameter was sent twice.
        AccessDenied, ServerError, TemporarilyUnavailable: the provider's error in our words.
    """
    _judge_iss(parameters.one("iss"), metadata)
    error = parameters.one("error")
    if error:
        raise provider_error(error, parameters.one("error_description"))
    code = parameters.one("code")
    if not code or len(code) > MAX_CODE_CHARS or not _CODE.match(code):
        raise ServerError("The identity provider sent neither a usable code nor an error.")
    return code


def provider_error(error: str, description: str) -> OAuthError:
    """Return a provider's error as we tell it to a client.

    Its own words go to the log only: a link with words of an attacker's choice would look like ours, and a code that
    no RFC knows could mean anything to a client.
    """
    detail = shown(f"{error}: {description}" if description else error)
    if error in _OF_PERSONS:
        return AccessDenied("The login at the identity provider was not finished.", detail=detail)
    if error == "temporarily_unavailable":
        return TemporarilyUnavailable("The identity provider is not available right now; try again.", detail=detail)
    named = f" ({error})" if error in _OF_US else ""
    return ServerError(
        f"The identity provider refused the request{named}; the administrator finds its words in the log.",
        detail=detail,
    )


def _judge_iss(iss: str, metadata: ProviderMetadata) -> None:
    if not iss:
        if metadata.sends_iss:
            raise Forbidden("The identity provider's answer does not say whose it is.", detail="iss is missing")
        return
    if not is_issuer(iss, metadata.issuer):
        raise Forbidden("The answer is another identity provider's.", detail=f"iss is {shown(iss)}")


def is_issuer(iss: str, expected: str, *, tenant: str = "") -> bool:
    """Compare issuers, byte for byte; a template stands for ``tenant``, or for any one when that is not known."""
    if TENANT_TEMPLATE not in expected:
        return iss == expected
    before, _, after = expected.partition(TENANT_TEMPLATE)
    found = iss[len(before) : len(iss) - len(after)]
    return iss == f"{before}{found}{after}" and TENANT.match(found) is not None and tenant in {"", found}
