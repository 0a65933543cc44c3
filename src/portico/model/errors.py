"""The one error tree.

Every error has a stable ``code`` (what programs branch on), an HTTP ``status`` and a ``public`` sentence
that may be shown to the caller: it names the field and the fix and holds nothing internal. ``detail`` goes
to the log only; ``debug_hint`` (which check failed, what would fix it, no secret) is for callers of a gateway whose
``exceptionLevel`` is DEBUG. Errors are raised inside and rendered in one place per surface (MCP endpoint, OAuth
endpoints, pages, command line)::

    PorticoError
    ├── InputError 400 invalid_request          what the caller sent is wrong
    │   ├── InvalidInput invalid_input          members of an API request, each fault with its path
    │   │   ├── ParameterMismatch parameter_mismatch  another request had the same client token
    │   │   └── InUse        in_use                 something depends on what is to be deleted
    │   ├── TooLarge 413 too_large
    │   └── UnsupportedMedia 415 unsupported_media_type
    ├── Unauthenticated 401                     who is calling is not proven
    │   ├── MissingToken  missing_token
    │   ├── InvalidToken  invalid_token
    │   └── SignatureRefused 403                no signature (SigV4), or one that proves nobody
    │       ├── MissingSignature    missing_signature
    │       ├── IncompleteSignature incomplete_signature
    │       ├── UnknownAccessKey    unknown_access_key
    │       └── InvalidSignature    invalid_signature
    │           └── SignatureExpired  signature_expired
    ├── Forbidden 403 access_denied             who is calling is known and may not
    │   ├── InsufficientScope  insufficient_scope
    │   ├── FlowExpired        flow_expired     a login or consent took too long
    │   ├── FlowElsewhere      flow_elsewhere   it was begun in another browser, or cookies are blocked
    │   └── FlowFinished       flow_finished    it was answered before
    ├── NotFound 404 not_found
    ├── NotOffered 501 not_offered              an operation of the AgentCore API that Portico has not
    ├── Conflict 409 conflict
    ├── QuotaExceeded 402 quota_exceeded        there are as many as a quota allows
    ├── LimitExceeded 429 limit_exceeded
    ├── Unavailable 503                         ours: try again later
    │   ├── StorageUnavailable  storage_unavailable
    │   ├── KeysUnavailable     keys_unavailable
    │   └── JournalFull         journal_full
    ├── UpstreamError 502 upstream_error        a target or provider is at fault, not we
    │   ├── UpstreamUnreachable  upstream_unreachable
    │   ├── UpstreamTimeout 504  upstream_timeout
    │   ├── UpstreamInvalid      upstream_invalid
    │   ├── UpstreamTooLarge     upstream_too_large
    │   ├── UpstreamStatus       upstream_status
    │   ├── CredentialUnavailable  credential_unavailable  what a target is called with cannot be had
    │   ├── CredentialRefused    credential_refused  the target refuses what it is called with
    │   └── EgressDenied         egress_denied
    ├── SealError 400 invalid_seal              a sealed value is not ours, expired its key or was changed
    ├── OAuthError 400                          with the codes of OAuth: ``model/oauth_errors.py``
    └── ConfigError 400 invalid_configuration   all faults of a configuration, in one report
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from portico.model.principal import Principal


class PorticoError(Exception):
    """Base of everything that Portico raises on purpose."""

    code: ClassVar[str] = "internal_error"
    status: ClassVar[int] = 500

    def __init__(self, public: str, *, detail: str = "", debug_hint: str = "") -> None:
        super().__init__(public if not detail else f"{public} [{detail}]")
        self.public = public
        self.detail = detail
        self.debug_hint = debug_hint


class InputError(PorticoError):
    """What the caller sent is wrong; ``public`` names the field and the fix."""

    code = "invalid_request"
    status = 400


class TooLarge(InputError):
    """Input over one of the named limits."""

    code = "too_large"
    status = 413


class UnsupportedMedia(InputError):
    """A content type that the endpoint does not read."""

    code = "unsupported_media_type"
    status = 415


class Unauthenticated(PorticoError):
    """Who is calling is not proven.

    ``caller`` is who a token that no longer counts was for, when its signature was good; for the audit only.
    """

    code = "unauthenticated"
    status = 401
    caller: Principal | None = None


class MissingToken(Unauthenticated):
    """No bearer token was sent (RFC 6750 section 3.1: a challenge without ``error``)."""

    code = "missing_token"


class InvalidToken(Unauthenticated):
    """The token is malformed, expired, revoked, foreign or not for this audience (RFC 6750 section 3.1)."""

    code = "invalid_token"


class SignatureRefused(Unauthenticated):
    """A request's signature (SigV4) is missing or proves nobody. AWS answers all of these with 403.

    ``aws_code`` is the exception that AWS's services name; clients branch on it.
    """

    status = 403
    aws_code: ClassVar[str]


class MissingSignature(SignatureRefused):
    """The request is not signed at all."""

    code = "missing_signature"
    aws_code = "MissingAuthenticationTokenException"


class IncompleteSignature(SignatureRefused):
    """The header that holds the signature, or the date beside it, cannot be read."""

    code = "incomplete_signature"
    aws_code = "IncompleteSignatureException"


class UnknownAccessKey(SignatureRefused):
    """There is no such access key, or it is disabled: nobody learns which."""

    code = "unknown_access_key"
    aws_code = "UnrecognizedClientException"


class InvalidSignature(SignatureRefused):
    """The signature is not the access key's over this request, for this service, region and day."""

    code = "invalid_signature"
    aws_code = "InvalidSignatureException"


class SignatureExpired(InvalidSignature):
    """It was signed too long ago, or by a clock that is ahead."""

    code = "signature_expired"


class Forbidden(PorticoError):
    """The caller is known and may not do this; ``caller`` says who it was, for the audit only."""

    code = "access_denied"
    status = 403
    caller: Principal | None = None


class InsufficientScope(Forbidden):
    """Client, scope or custom claim do not satisfy the gateway's authorizer (RFC 6750 section 3.1)."""

    code = "insufficient_scope"


class FlowExpired(Forbidden):
    """A login or consent form is older than the flow that it belongs to may be."""

    code = "flow_expired"


class FlowElsewhere(Forbidden):
    """A login or consent belongs to another browser, or this one keeps no cookies (CVE-2026-27124)."""

    code = "flow_elsewhere"


class FlowFinished(Forbidden):
    """A login or consent was answered before: by a double click, or after going back."""

    code = "flow_finished"


class NotFound(PorticoError):
    """There is no such thing, or it is not this caller's to see."""

    code = "not_found"
    status = 404


class NotOffered(PorticoError):
    """The AgentCore API has such an operation and Portico does not offer it; ``public`` says why."""

    code = "not_offered"
    status = 501


class Conflict(PorticoError):
    """The resource exists already or was changed by someone else meanwhile."""

    code = "conflict"
    status = 409


class QuotaExceeded(PorticoError):
    """There are as many of something as a quota allows; ``public`` names its setting."""

    code = "quota_exceeded"
    status = 402


class LimitExceeded(PorticoError):
    """A bound on rate, count or concurrency was reached; ``retry_after`` is in seconds, 0 when nobody knows."""

    code = "limit_exceeded"
    status = 429

    def __init__(self, public: str, *, detail: str = "", retry_after: float = 0) -> None:
        super().__init__(public, detail=detail)
        self.retry_after = retry_after


class Unavailable(PorticoError):
    """We cannot answer right now; the same request may succeed later."""

    code = "unavailable"
    status = 503


class StorageUnavailable(Unavailable):
    """The database cannot be reached or is locked."""

    code = "storage_unavailable"


class KeysUnavailable(Unavailable):
    """An issuer's keys cannot be had and none are cached."""

    code = "keys_unavailable"


class JournalFull(Unavailable):
    """The audit journal reached ``audit.journal_max``; a call that cannot be recorded is not made."""

    code = "journal_full"


class UpstreamError(PorticoError):
    """A target, provider or key server is at fault, not Portico."""

    code = "upstream_error"
    status = 502


class UpstreamUnreachable(UpstreamError):
    """No connection, or it broke before an answer was complete."""

    code = "upstream_unreachable"


class UpstreamTimeout(UpstreamError):
    """No answer within the deadline."""

    code = "upstream_timeout"
    status = 504


class UpstreamInvalid(UpstreamError):
    """The answer is not what its protocol says."""

    code = "upstream_invalid"


class UpstreamTooLarge(UpstreamError):
    """The answer is over a named limit."""

    code = "upstream_too_large"


class UpstreamStatus(UpstreamError):
    """The answer has an HTTP status that the caller did not ask for; ``http_status`` holds it."""

    code = "upstream_status"

    def __init__(self, public: str, *, http_status: int, detail: str = "") -> None:
        super().__init__(public, detail=detail)
        self.http_status = http_status


class CredentialUnavailable(UpstreamError):
    """What a target is called with cannot be had; ``reason`` says why and what would mend it, for administrators."""

    code = "credential_unavailable"

    def __init__(self, reason: str, *, detail: str = "") -> None:
        super().__init__("The gateway has no credential for this target.", detail=detail, debug_hint=reason)
        self.reason = reason


class CredentialRefused(UpstreamError):
    """The target refuses what it is called with (401, 403); ``reason`` says what to look at, for administrators."""

    code = "credential_refused"

    def __init__(self, public: str, reason: str) -> None:
        super().__init__(public, debug_hint=reason)
        self.reason = reason


class EgressDenied(UpstreamError):
    """The address may not be dialled (private, link-local, or another scheme than allowed)."""

    code = "egress_denied"


class SealError(PorticoError):
    """A sealed value was not made by our keyring for this purpose, or was changed."""

    code = "invalid_seal"
    status = 400


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One fault of a document: where it is and how to mend it."""

    path: str  #: for example ``gateways[0].authorizerConfiguration.customJWTAuthorizer.discoveryUrl``
    message: str  #: a sentence with the fix

    def __str__(self) -> str:
        return f"{self.path}: {self.message}" if self.path else self.message


class ConfigError(PorticoError):
    """A configuration was refused; ``faults`` lists everything that is wrong with it at once."""

    code = "invalid_configuration"

    def __init__(self, faults: "list[Fault]") -> None:
        super().__init__("\n".join(str(fault) for fault in faults))
        self.faults = tuple(faults)


class InvalidInput(InputError):
    """Members of an API request are refused; ``faults`` lists everything that is wrong with them at once."""

    code = "invalid_input"
    reason: ClassVar[str] = "FieldValidationFailed"  #: AWS's ``ValidationExceptionReason``

    def __init__(self, faults: "Sequence[Fault]") -> None:
        super().__init__("; ".join(str(fault) for fault in faults))
        self.faults = tuple(faults)


class ParameterMismatch(InvalidInput):
    """The client token of this request was used by another request."""

    code = "parameter_mismatch"
    reason = "IdempotentParameterMismatchException"


class InUse(InvalidInput):
    """What is to be deleted is needed by something else, which has to be deleted before."""

    code = "in_use"
    reason = "ResourceConflict"
