"""``credentialProviderConfigurations`` of a target: what is refused, what is warned of, and that its provider is there.

Which kinds of targets may have which credential, and when, is AWS's table (developer guide, gateway-outbound-auth).
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final, cast

from portico.control.arns import ArnKind, parse_arn
from portico.control.transaction import Transaction
from portico.model.credential import ApiKeyUse, ClientCredentialsUse, CredentialUse
from portico.model.documents import parse_credential
from portico.model.errors import Fault, InvalidInput
from portico.model.gateway import PROTOCOL_VERSIONS
from portico.oauth.client_credentials import OWN_PARAMETERS
from portico.storage import credential_providers
from portico.storage.credential_providers import ProviderKind

MEMBER: Final = "credentialProviderConfigurations"
#: Scopes of a person's login (OpenID Connect Core sections 5.4 and 11), which a machine has none of.
PERSON_SCOPES: Final = ("openid", "profile", "email", "offline_access")
#: The first revision in which a person can be asked to log in in the middle of a call (URL elicitation).
CONSENT_VERSIONS: Final = PROTOCOL_VERSIONS[PROTOCOL_VERSIONS.index("2025-11-25") :]

#: Headers that are the message's own or the protocol's; an API key in one of them would break the request.
_TAKEN: Final = frozenset(
    {"accept", "accept-encoding", "connection", "content-encoding", "content-length", "content-type", "expect", "host"}
    | {"keep-alive", "last-event-id", "proxy-authorization", "te", "trailer", "transfer-encoding", "upgrade"}
    | {"user-agent", "via"}
)
_HEADER = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+\Z")  # RFC 9110 section 5.6.2
_VISIBLE = re.compile(r"[ -~]*\Z")
_SCOPE = re.compile(r"[!#-\[\]-~]+\Z")  # RFC 6749 appendix A.4

_NOT_FOR_MCP: Final = "is for HTTP targets only; an MCP server is called with OAUTH, API_KEY or nothing"
_KINDS: Final[Mapping[str, str]] = {"OAUTH": "oauthCredentialProvider", "API_KEY": "apiKeyCredentialProvider"}
_REFUSED: Final[Mapping[str, str]] = {
    "GATEWAY_IAM_ROLE": "is not built yet: there is no IAM role to sign with; use OAUTH or API_KEY, or leave it out",
    "CALLER_IAM_CREDENTIALS": _NOT_FOR_MCP,
    "JWT_PASSTHROUGH": _NOT_FOR_MCP,
}
_ARN_KINDS: Final[Mapping[str, ArnKind]] = {
    "oauthCredentialProvider": "oauth2-provider",
    "apiKeyCredentialProvider": "api-key-provider",
}

_Document = Mapping[str, Any]


def outbound_faults(document: _Document, gateway: _Document) -> list[Fault]:
    """Return everything for which a target's credential is refused; ``gateway`` is its gateway's document."""
    listed: object = document.get(MEMBER)
    entries = cast("list[object]", listed) if isinstance(listed, list) else []
    return [
        fault
        for index, entry in enumerate(entries)
        if isinstance(entry, dict)
        for fault in _entry_faults(cast("_Document", entry), gateway, f"{MEMBER}[{index}]")
    ]


def _entry_faults(entry: _Document, gateway: _Document, path: str) -> Iterator[Fault]:
    kind: object = entry.get("credentialProviderType")
    if not isinstance(kind, str) or kind not in {*_KINDS, *_REFUSED}:
        return  # the shape check says so
    if kind in _REFUSED:
        yield Fault(path=f"{path}.credentialProviderType", message=f"{kind} {_REFUSED[kind]}")
        return
    member, path = _KINDS[kind], f"{path}.credentialProvider"
    provider: object = entry.get("credentialProvider")
    if not isinstance(provider, dict) or member not in provider:
        yield Fault(path=f"{path}.{member}", message=f"is required with credentialProviderType {kind}")
        return
    settings = cast("dict[str, object]", provider)[member]
    if isinstance(settings, dict):
        judge = _oauth_faults if kind == "OAUTH" else _api_key_faults
        yield from _arn_faults(cast("_Document", settings), member, f"{path}.{member}")
        yield from judge(cast("_Document", settings), gateway, f"{path}.{member}")


def _arn_faults(settings: _Document, member: str, path: str) -> Iterator[Fault]:
    text: object = settings.get("providerArn")
    if isinstance(text, str):
        arn = parse_arn(text)
        if arn is None or arn.kind != _ARN_KINDS[member]:
            noun = "OAuth2" if member == "oauthCredentialProvider" else "API key"
            yield Fault(path=f"{path}.providerArn", message=f"must be the ARN of an {noun} credential provider")


def _oauth_faults(oauth: _Document, gateway: _Document, path: str) -> Iterator[Fault]:
    grant: object = oauth.get("grantType", "CLIENT_CREDENTIALS")
    if grant == "AUTHORIZATION_CODE":
        yield Fault(path=f"{path}.grantType", message=_why_no_code(gateway))
    elif grant == "TOKEN_EXCHANGE":
        yield Fault(path=f"{path}.grantType", message="TOKEN_EXCHANGE is not built yet; CLIENT_CREDENTIALS is")
    elif "defaultReturnUrl" in oauth:
        yield Fault(path=f"{path}.defaultReturnUrl", message="has no effect with CLIENT_CREDENTIALS; leave it out")
    scopes: object = oauth.get("scopes")
    for index, scope in enumerate(cast("list[object]", scopes) if isinstance(scopes, list) else ()):
        if isinstance(scope, str) and _SCOPE.match(scope) is None:
            message = "must be one scope: visible ASCII without spaces, quotation marks and backslashes"
            yield Fault(path=f"{path}.scopes[{index}]", message=message)
    parameters: object = oauth.get("customParameters")
    for name in cast("dict[object, object]", parameters) if isinstance(parameters, dict) else ():
        if name in OWN_PARAMETERS:
            yield Fault(path=f"{path}.customParameters[{name!r}]", message="is the gateway's own to say; leave it out")


def _why_no_code(gateway: _Document) -> str:
    configured: object = gateway.get("protocolConfiguration", {})
    mcp: object = cast("_Document", configured).get("mcp", {}) if isinstance(configured, dict) else {}
    versions: object = cast("_Document", mcp).get("supportedVersions") if isinstance(mcp, dict) else None
    offered = cast("list[object]", versions) if isinstance(versions, list) and versions else list(PROTOCOL_VERSIONS)
    if not any(version in CONSENT_VERSIONS for version in offered):
        return (
            "AUTHORIZATION_CODE needs a gateway whose supportedVersions hold 2025-11-25 or later: "
            "older clients cannot be asked to log in"
        )
    return "AUTHORIZATION_CODE is not built yet; CLIENT_CREDENTIALS is"


def _api_key_faults(api_key: _Document, _gateway: _Document, path: str) -> Iterator[Fault]:
    in_query = api_key.get("credentialLocation") == "QUERY_PARAMETER"
    name: object = api_key.get("credentialParameterName")
    if isinstance(name, str):
        where = f"{path}.credentialParameterName"
        lower = name.lower()
        if in_query and _VISIBLE.match(name) is None:
            yield Fault(path=where, message="must be visible ASCII")
        elif not in_query and _HEADER.match(name) is None:
            yield Fault(path=where, message="must be the name of an HTTP header")
        elif not in_query and (lower in _TAKEN or lower.startswith("mcp-")):
            yield Fault(
                path=where, message="is a header of the request itself; the target must take the key in another"
            )
    prefix: object = api_key.get("credentialPrefix")
    if isinstance(prefix, str) and (_VISIBLE.match(prefix) is None or prefix.startswith(" ")):
        yield Fault(path=f"{path}.credentialPrefix", message="must be visible ASCII that does not begin with a space")


def credential_warnings(use: CredentialUse | None) -> tuple[str, ...]:
    """Return status reasons of a target whose credential will hardly work, though nothing forbids it."""
    if not isinstance(use, ClientCredentialsUse):
        return ()
    found = [scope for scope in PERSON_SCOPES if scope in use.scopes]
    if not found:
        return ()
    sentence = (
        f"The target asks for the scopes {', '.join(found)} with client credentials. They belong to a person's login, "
        "and most providers refuse them to a machine: leave them out of the target's scopes."
    )
    return (sentence,)


async def ensure_provider(tx: Transaction, document: _Document) -> None:
    """Make sure that the provider of a target's document is there. The document was found free of faults.

    Raises:
        InvalidInput: it is in another account or region, or there is none of that name.
    """
    use = parse_credential(document)
    if use is None:
        return
    kind: ProviderKind = "api_key" if isinstance(use, ApiKeyUse) else "oauth2"
    member = _KINDS["API_KEY" if kind == "api_key" else "OAUTH"]
    given: str = document[MEMBER][0]["credentialProvider"][member]["providerArn"]
    path = f"{MEMBER}[0].credentialProvider.{member}.providerArn"
    arn = parse_arn(given)
    assert arn is not None  # found free of faults
    if (arn.account, arn.region) != (tx.account, tx.region):
        message = f"names a provider of account {arn.account} in {arn.region}; this is {tx.account} in {tx.region}"
        raise InvalidInput([Fault(path=path, message=message)])
    if await credential_providers.get(tx.conn, kind, use.provider, account=tx.account) is None:
        raise InvalidInput([Fault(path=path, message=f"names no credential provider that is there: {use.provider!r}")])


def provider_of(document: _Document) -> tuple[ProviderKind, str] | None:
    """Return kind and name of the provider that a target's document uses, None when it uses none."""
    use = parse_credential(document)
    if use is None:
        return None
    return ("api_key" if isinstance(use, ApiKeyUse) else "oauth2"), use.provider
