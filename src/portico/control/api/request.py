"""A request to the AgentCore API as it came in, before anybody is believed or anything parsed."""

from dataclasses import dataclass, field

from portico.crypto.sigv4 import SignedRequest


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiRequest(SignedRequest):
    """One request. The signature covers these very bytes."""

    body: bytes = field(repr=False)
