"""What a target is called with: which credential its document asks for, and the credential itself."""

from dataclasses import dataclass, field
from typing import Literal

from portico.model.secret import Secret


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiKeyUse:
    """``API_KEY``: the key of a provider, in a header or in the query."""

    provider: str  #: name of the API key provider
    location: Literal["header", "query"] = "header"
    parameter: str = "Authorization"  #: name of the header or query parameter
    prefix: str = "Bearer"  #: before the key; a word is parted from it by a space


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientCredentialsUse:
    """``OAUTH`` with ``CLIENT_CREDENTIALS``: a bearer token of the gateway's own."""

    provider: str  #: name of the OAuth provider
    scopes: tuple[str, ...] = ()
    parameters: tuple[
        tuple[str, Secret], ...
    ] = ()  #: further ones of the token request; the model calls them sensitive


CredentialUse = ApiKeyUse | ClientCredentialsUse


@dataclass(frozen=True, slots=True, kw_only=True)
class Credential:
    """What is added to every request to a target. It is a secret and is never printed."""

    headers: tuple[tuple[bytes, bytes], ...] = field(default=(), repr=False)  #: names in lower case
    query: tuple[tuple[str, str], ...] = field(default=(), repr=False)  #: not yet percent-encoded
    #: which credential it is: the same for a token and the one that follows it, another when its provider was changed
    identity: str = field(default="", compare=False)
    about: str = field(default="", compare=False)  #: a sentence for who asks why a target refuses it; no secret
