"""Who may do what with the AgentCore API: the caller behind a signature, and one table of roles.

| role | may |
|---|---|
| administrator | everything that is offered |
| operator | read, and run the targets of gateways that exist, with tags; without attaching credentials |
| reader | read |
| invoker | nothing here: it calls gateways only |

A key that is confined to gateways may do with them what its role may, and nothing that is not one gateway's. What is
not in the table is an administrator's.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from portico.authorizer.sigv4 import Signatures, Unproven
from portico.crypto.sigv4 import SignedRequest
from portico.model.access_key import AccessKey, Role, user_arn
from portico.model.errors import Forbidden
from portico.storage.schema import DEFAULT_ACCOUNT

#: What changes nothing and tells no secret.
READS: Final = frozenset(
    {
        "GetApiKeyCredentialProvider",
        "GetGateway",
        "GetGatewayTarget",
        "GetOauth2CredentialProvider",
        "GetTokenVault",
        "GetWorkloadIdentity",
        "ListApiKeyCredentialProviders",
        "ListGatewayTargets",
        "ListGateways",
        "ListOauth2CredentialProviders",
        "ListTagsForResource",
        "ListWorkloadIdentities",
    }
)
#: What an operator may beside reading.
OPERATES: Final = frozenset(
    {
        "CreateGatewayTarget",
        "DeleteGatewayTarget",
        "SynchronizeGatewayTargets",
        "TagResource",
        "UntagResource",
        "UpdateGatewayTarget",
    }
)
#: Whoever chooses both endpoint and credential can have the credential sent anywhere: that is for administrators.
CREDENTIALS: Final = "credentialProviderConfigurations"


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """Whose signature a request bears."""

    access_key_id: str
    name: str
    role: Role
    gateways: frozenset[str] = field(default_factory=frozenset[str])  #: ids that it is confined to; empty: all
    account: str = DEFAULT_ACCOUNT

    @property
    def arn(self) -> str:
        """Whom AWS's documents would call the principal."""
        return user_arn(self.account, self.name)


@dataclass(frozen=True, slots=True, kw_only=True)
class Knock:
    """A signature in order whose proof needs the body."""

    unproven: Unproven

    def prove(self, body: bytes) -> Caller:
        """Return who signed the request with this body.

        Raises:
            InvalidSignature: it was another secret or another request.
        """
        return _caller(self.unproven.prove(body))


class Access:
    """Turns signatures into callers."""

    def __init__(self, signatures: Signatures) -> None:
        self._signatures = signatures

    def begin(self, request: SignedRequest) -> Knock:
        """Judge a signature as far as that goes without the body, so that nobody makes us read one for nothing.

        Raises:
            SignatureRefused: see :meth:`portico.authorizer.sigv4.Signatures.begin`.
        """
        return Knock(unproven=self._signatures.begin(request))


def allow(caller: Caller, operation: str, request: Mapping[str, Any]) -> None:
    """Make sure that ``caller`` may do ``operation`` with ``request``, its input by member names.

    Raises:
        Forbidden: it may not; the sentence says what would be needed.
    """
    if not _role_allows(caller.role, operation):
        raise _forbidden(caller, operation, f"the role {caller.role} does not include it")
    if caller.role != "administrator" and request.get(CREDENTIALS):
        raise _forbidden(caller, operation, f"with {CREDENTIALS} it is for administrators only")
    if caller.gateways and gateway_of(request) not in caller.gateways:
        raise _forbidden(caller, operation, "the access key is confined to other gateways")


def gateway_of(request: Mapping[str, Any]) -> str | None:
    """Return the id of the one gateway that a request concerns, None when it concerns something else."""
    identifier: object = request.get("gatewayIdentifier")
    if isinstance(identifier, str):
        return identifier
    arn: object = request.get("resourceArn")
    resource = arn.split(":", 5)[-1].split("/") if isinstance(arn, str) else []
    return resource[1] if resource[:1] == ["gateway"] and len(resource) > 1 else None


def _role_allows(role: Role, operation: str) -> bool:
    match role:
        case "administrator":
            return True
        case "operator":
            return operation in READS or operation in OPERATES
        case "reader":
            return operation in READS
        case "invoker":
            return False


def _caller(key: AccessKey) -> Caller:
    return Caller(
        access_key_id=key.id,
        name=key.name,
        role=key.role,
        gateways=key.gateways,
        account=key.account,
    )


def _forbidden(caller: Caller, operation: str, why: str) -> Forbidden:
    return Forbidden(f"User: {caller.arn} is not authorized to perform: bedrock-agentcore:{operation}, because {why}.")
