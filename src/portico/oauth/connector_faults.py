"""What is wrong with an issuer's connectors, all of it at once, each with the path of the member to mend. Pure."""

import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Final

from portico.oauth.connector_settings import ConnectorSettings
from portico.oauth.discovery import DiscoveryFault, issuers_of
from portico.oauth.provider_adapters import adapter_of, many_tenants, recognise, why_anyone
from portico.oauth.provider_metadata import is_endpoint
from portico.oauth.scope import is_scope_token

MAX_CONNECTORS: Final = 20  #: of one issuer: the picker is for people to read
LOCAL: Final = "local"

_NAME = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,62}[a-z0-9])?\Z", re.ASCII)
_DOMAIN = re.compile(r"[a-z0-9-]+(?:\.[a-z0-9-]+)+\Z", re.ASCII)
_PROMPTS: Final = frozenset({"login", "consent", "select_account"})
#: Given to someone else when their first owner has left, or chosen by whoever has the account.
_CHANGING: Final = frozenset({"email", "preferred_username", "upn", "unique_name", "name", "nickname", "login"})

Found = Iterator[tuple[str, str]]


def connector_faults(connectors: Sequence[ConnectorSettings], scopes: Sequence[str]) -> list[tuple[str, str]]:
    """Return (path, message) of every fault; ``scopes`` are the issuer's."""
    faults: list[tuple[str, str]] = []
    if len(connectors) > MAX_CONNECTORS:
        faults.append(("connectors", f"has more than {MAX_CONNECTORS} entries"))
    counted = Counter(connector.name for connector in connectors)
    for number, connector in enumerate(connectors):
        found = list(_faults(connector, scopes))
        if counted[connector.name] > 1:
            found.append(("name", f"{connector.name!r} stands twice; every connector needs a name of its own"))
        faults += [(f"connectors[{number}].{member}", message) for member, message in found]
    return faults


def _faults(settings: ConnectorSettings, scopes: Sequence[str]) -> Found:
    if not _NAME.match(settings.name):
        yield "name", "must be 1 to 64 lower-case letters, digits and inner hyphens"
    if settings.type == LOCAL:
        yield from _local_faults(settings)
        return
    if settings.name == LOCAL:
        yield "name", "local is the name of the connector of that type"
    for judge in _JUDGES:
        yield from judge(settings)
    for scope in settings.scope_map:
        if scope not in scopes:
            yield "scopeMap", f"{scope!r} is not among the issuer's scopes"


def _local_faults(settings: ConnectorSettings) -> Found:
    if settings.name != LOCAL:
        yield "name", "a connector of type local is called local, so there is one at most"
    plain = ConnectorSettings(name=settings.name, type=LOCAL, title=settings.title)
    for field, member in zip(settings.__struct_fields__, settings.__struct_encode_fields__, strict=True):
        if getattr(settings, field) != getattr(plain, field):
            yield member, "is for identity providers, and this connector is our own users; remove it"


def _discovery_faults(settings: ConnectorSettings) -> Found:
    adapter, url = adapter_of(settings), settings.discovery_url
    if adapter.metadata is not None:
        if url:
            yield "discoveryUrl", f"{settings.type} has no discovery; remove it"
        return
    if not url:
        if not adapter.discovery_url:
            yield "discoveryUrl", "is missing: the provider's URL that ends with /.well-known/openid-configuration"
        return
    if not is_endpoint(url, plain=settings.allow_private):
        yield "discoveryUrl", "must be an https URL (plain http needs allowPrivate)"
        return
    try:
        issuers_of(url)
    except DiscoveryFault as fault:
        yield "discoveryUrl", str(fault)
    if adapter.type == "entra" and "/v2.0/" not in url:
        yield "discoveryUrl", "must be Entra's v2.0 one: https://login.microsoftonline.com/TENANT/v2.0/.well-known/..."


def _client_faults(settings: ConnectorSettings) -> Found:
    if not settings.client_id:
        yield "clientId", "is missing: the id of Portico's client at the provider"
    public = settings.token_auth_method == "none"  # noqa: S105 - a method's name
    if public and settings.client_secret:
        yield "clientSecret", "is never sent with tokenAuthMethod none; remove one of them"
    if not public and not settings.client_secret:
        yield "clientSecret", "is missing; for a client that has none at the provider set tokenAuthMethod to none"
    if public and adapter_of(settings).secret_required:
        yield "tokenAuthMethod", "this provider wants a secret from every web client"
    if public and settings.pkce is False:
        yield "pkce", "a client without a secret cannot do without PKCE"


def _request_faults(settings: ConnectorSettings) -> Found:
    asked = [("scopes", settings.scopes), *(("scopeMap", theirs) for theirs in settings.scope_map.values())]
    for member, listed in asked:
        for scope in listed:
            if not is_scope_token(scope):
                yield member, f"{scope!r} is not a scope (RFC 6749 section 3.3)"
    prompts = settings.prompt.split()
    if not set(prompts) <= _PROMPTS:
        yield "prompt", f"may hold {', '.join(sorted(_PROMPTS))} only: nobody could log in with another"
    if settings.audience and settings.forward_resource is False:
        yield "forwardResource", "audience is told in the same parameter; remove one of them"


def _person_faults(settings: ConnectorSettings) -> Found:
    changing = sorted(_CHANGING.intersection(settings.subject_claim.split("+")))
    if changing:
        yield "subjectClaim", f"{changing[0]} can become another person's; use sub, or oid+tid with Entra"
    for domain in settings.allowed_domains:
        if not _DOMAIN.match(domain):
            yield "allowedDomains", f"{domain!r} is not a domain in lower case, for example example.com"
    for email in settings.allowed_emails:
        if email.count("@") != 1 or email != email.lower() or email.startswith("@"):
            yield "allowedEmails", f"{email!r} is not an e-mail address in lower case"
    for claim, values in settings.required_claims.items():
        if not values:
            yield "requiredClaims", f"{claim!r} has no values, so nobody could log in; list those that may"


def _anyone_faults(settings: ConnectorSettings) -> Found:
    why = why_anyone(settings)
    if not why or settings.any_account or settings.allowed_domains or settings.allowed_emails:
        return
    if many_tenants(settings.discovery_url):
        if "tid" not in settings.required_claims:  # any other claim is what some tenant's administrator makes it
            yield (
                "anyAccount",
                (
                    f"{why}: name your tenants in requiredClaims.tid (or set allowedDomains or allowedEmails), use "
                    "your tenant's own discoveryUrl, or set anyAccount to true"
                ),
            )
    elif not settings.required_claims:
        yield "anyAccount", f"{why}: set allowedDomains, allowedEmails or requiredClaims, or anyAccount to true"


def _type_faults(settings: ConnectorSettings) -> Found:
    recognised = recognise(settings.discovery_url)
    if settings.type not in {"oidc", recognised} and recognised not in {"oidc", "keycloak"}:
        yield "type", f"the discoveryUrl is one of {recognised}; set type to {recognised} or oidc"


_JUDGES: Final[tuple[Callable[[ConnectorSettings], Found], ...]] = (
    _type_faults,
    _discovery_faults,
    _client_faults,
    _request_faults,
    _person_faults,
    _anyone_faults,
)
