"""A flow that is at a provider: what its callback has to find again."""

import msgspec

from portico.oauth.authorize import AuthorizationRequest


class Transaction(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """One flow that is at a provider."""

    request: AuthorizationRequest
    connector: str
    state: str
    nonce: str
    verifier: str  #: of our own PKCE towards the provider
    grant_id: str  #: of the grant that it may become, once
    issued_at: int
