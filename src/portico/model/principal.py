"""Who calls."""

from dataclasses import dataclass, field
from typing import Any, Literal

PrincipalKind = Literal["user", "machine", "aws", "anonymous"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Principal:
    """A caller whose identity was verified. Made only by the authorizer.

    ``subject`` is the token's ``sub`` (for a machine its client id, empty for an anonymous caller). Of kind ``aws`` is
    whoever signed with an access key: ``subject`` is then the ARN of the key's user and ``client_id`` the key's id.
    ``claims`` are the verified claims, for rules that read them.
    """

    kind: PrincipalKind
    issuer: str
    subject: str
    client_id: str
    scopes: frozenset[str] = frozenset()
    expires_at: int | None = None  #: seconds since the epoch
    claims: dict[str, Any] = field(default_factory=dict[str, Any], repr=False)

    @property
    def key(self) -> str:
        """One string that is equal exactly for the same person or machine at the same issuer."""
        return f"{self.issuer}\n{self.kind}\n{self.subject}"


ANONYMOUS = Principal(kind="anonymous", issuer="", subject="", client_id="")
