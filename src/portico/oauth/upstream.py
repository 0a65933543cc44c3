"""Values between an issuer of ours and an identity provider, on the way there and on the way back. Pure."""

from dataclasses import dataclass

from portico.model.secret import Secret


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderRequest:
    """What a person is sent to a provider with. Everything secret in it is ours, nothing is the client's."""

    state: str
    nonce: str
    code_challenge: str  #: S256 of the verifier that :meth:`~portico.issuer.provider.Provider.exchange` gets
    scopes: tuple[str, ...] = ()  #: ours; the connector's ``scopeMap`` says what they are there
    resource: str = ""  #: the client's; sent only where the connector says so
    login: bool = False  #: the person shall prove themselves again
    offline: bool = False  #: a refresh token is wanted


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderTokens:
    """What a provider gave for a code or a refresh token. Its ID token is not here: it goes nowhere."""

    access_token: Secret
    refresh_token: Secret  #: empty: there is none. After a refresh: the one to use from now on, old or new
    expires_in: int  #: seconds; a guess on the short side where the provider does not say
    scope: str  #: the provider's, granted; empty where it does not say


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """Who a provider says a person is, after every check that the connector asks for."""

    connector: str
    subject: str  #: never another person's, within this connector
    name: str = ""  #: for people to read, cleaned; never for decisions
    email: str = ""  #: for people to read; verified only where the connector's rules ask for it


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderLogin:
    """A finished login at a provider."""

    person: Person
    tokens: ProviderTokens
