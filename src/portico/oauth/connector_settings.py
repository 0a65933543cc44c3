"""The settings of a connector: who says who a person is, local users or an identity provider. Pure.

What a provider's vendor does differently is not asked here: that is the table in
:mod:`portico.oauth.provider_adapters`. A member that is left out takes what that table says.
"""

import hashlib
from typing import Final, Literal

import msgspec

RULES_BYTES: Final = 16  #: of the digest of a connector's rules
#: Purpose of the seal of ``client_secret`` in a database; ``issuer|connector`` is its associated data.
CONNECTOR_SECRET: Final = "connector-secret"  # noqa: S105 - the name of a purpose, no password

#: ``local``: users of our own. ``oidc``: any provider, recognised by its URL where it is one of the others.
ConnectorType = Literal["local", "oidc", "cognito", "entra", "okta", "auth0", "keycloak", "google", "github"]
TokenAuthMethod = Literal["basic", "post", "none"]


class ConnectorSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="camel"):
    """One connector of an issuer."""

    name: str  #: unique in the issuer; ``local`` for the type of that name only
    type: ConnectorType
    title: str = ""  #: on its button and on the consent page; empty: its name
    discovery_url: str = ""  #: of ``/.well-known/openid-configuration``; Google and GitHub need none
    client_id: str = ""  #: of the one client that the provider knows us as
    client_secret: str = ""  #: clear while a file is parsed, sealed in the database
    token_auth_method: TokenAuthMethod | None = None  #: how we prove ourselves; ``none``: a client without a secret
    scopes: tuple[str, ...] = ()  #: asked of the provider each time, ``openid`` by itself
    scope_map: dict[str, tuple[str, ...]] = {}  #: a scope of ours to the provider's that are asked with it
    subject_claim: str = ""  #: never given to another person; several are joined by ``+``
    name_claim: str = ""
    email_claim: str = ""
    forward_resource: bool | None = None  #: whether the client's ``resource`` (RFC 8707) is told to the provider
    resource_parameter: str = ""  #: what the provider calls it; Auth0: ``audience``
    audience: str = ""  #: told in that parameter in place of the client's ``resource``
    pkce: bool | None = None  #: S256 is sent unless this is false, advertised or not
    prompt: str = ""  #: asked of the provider each time
    allowed_domains: tuple[str, ...] = ()  #: of e-mail addresses that the provider verified
    allowed_emails: tuple[str, ...] = ()  #: that the provider verified
    required_claims: dict[str, tuple[str, ...]] = {}  #: a claim to the values of which it must have one
    any_account: bool = False  #: whoever has an account there may log in, also where everybody can have one
    allow_private: bool = False  #: the provider may lie on a private address and speak plain http there

    @property
    def judges_accounts(self) -> bool:
        """Whether some accounts of the provider are let in and others are not."""
        return bool(self.allowed_domains or self.allowed_emails or self.required_claims)

    def rules_digest(self) -> bytes:
        """Return what changes when other accounts are let in, or accounts mean other people: grants hold it."""
        rules = (
            self.discovery_url,
            self.client_id,
            self.subject_claim,
            sorted(self.allowed_domains),
            sorted(self.allowed_emails),
            sorted((claim, sorted(values)) for claim, values in self.required_claims.items()),
            self.any_account,
        )
        return hashlib.sha256(msgspec.msgpack.encode(rules)).digest()[:RULES_BYTES]

    def __repr__(self) -> str:
        """Name it and nothing else: it holds a secret."""
        return f"ConnectorSettings(name={self.name!r}, type={self.type!r})"
