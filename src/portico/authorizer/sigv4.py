"""Signed requests (SigV4): from the ``Authorization`` header to the access key that it proves.

In two steps, so that nobody makes us read a body with a header that cannot count: :meth:`Signatures.begin` judges all
that needs no body, :meth:`Unproven.prove` compares the signature. What is refused has the name that AWS's services
give it. Beyond what AWS's guide asks of a signature:

- The payload is always signed. ``UNSIGNED-PAYLOAD`` and the ``STREAMING-...`` forms are refused: no operation of the
  two service models allows them, and a signature that leaves the body out would be good for every body.
- ``x-amz-content-sha256`` need not be sent; when it is, it must be the hash of the body.
- Every ``x-amz-*`` header that was sent must be signed.
- Signatures in the query (presigned URLs) and session tokens do not exist here.
- A signature is good for five minutes around its date, and as often: two equal requests of one second have equal
  signatures, so a repeated one proves nothing.
"""

import hmac
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from hashlib import sha256
from typing import Final

from portico.authorizer.access_keys import AccessKeys
from portico.crypto.sigv4 import (
    ALGORITHM,
    TERMINATOR,
    CredentialScope,
    SignedRequest,
    canonical_request,
    signature,
    string_to_sign,
)
from portico.model.access_key import AccessKey
from portico.model.errors import (
    IncompleteSignature,
    InvalidSignature,
    MissingSignature,
    SignatureExpired,
    UnknownAccessKey,
)

SERVICE: Final = "bedrock-agentcore"  #: signs both planes and the gateways
MAX_SKEW_SECONDS: Final = 300  #: between the signature's date and our clock, either way
MAX_AUTHORIZATION_BYTES: Final = 8 * 1024
MAX_ECHO_CHARS: Final = 64  #: of what a refusal repeats

_DATE_FORMAT: Final = "%Y%m%dT%H%M%SZ"
_TIMESTAMP = re.compile(r"[0-9]{8}T[0-9]{6}Z")
_KEY_ID = re.compile(r"[A-Za-z0-9_]{16,128}")
_SIGNATURE = re.compile(r"[0-9a-f]{64}")
_PARAMETERS: Final = ("Credential", "SignedHeaders", "Signature")
#: CloudFront adds it on the way to us; nothing here reads it.
_MAY_BE_UNSIGNED: Final = frozenset({"x-amz-cf-id"})


@dataclass(frozen=True, slots=True, kw_only=True)
class UnverifiedSignature:
    """What the headers of a request say about its signature; nothing of it is proven."""

    access_key_id: str
    scope: CredentialScope
    terminator: str
    signed_headers: tuple[str, ...]
    signature: str
    timestamp: str  #: ``YYYYMMDD'T'HHMMSS'Z'``
    signed_at: float  #: seconds since the epoch
    date_header: str  #: where the time stands: ``x-amz-date`` or ``date``


@dataclass(frozen=True, slots=True, kw_only=True)
class Unproven:
    """A signature in order, of a key that may be used; whether the caller has the key's secret is still open."""

    request: SignedRequest
    unverified: UnverifiedSignature
    key: AccessKey
    keys: AccessKeys
    now: float  #: when it was judged, in seconds since the epoch

    def prove(self, body: bytes) -> AccessKey:
        """Return the key that signed the request with this body.

        Raises:
            InvalidSignature: it was another secret or another request.
            UnknownAccessKey: the key was changed while the body came.
        """
        if self.keys.get(self.key.id) != self.key:
            raise _unknown("the access key was changed or disabled while the request came")
        payload_hash = sha256(body).hexdigest()
        for declared in self.request.values(b"x-amz-content-sha256"):
            if not hmac.compare_digest(declared, payload_hash.encode()):
                raise InvalidSignature("The header x-amz-content-sha256 is not the SHA-256 of the request's body.")
        claimed = self.unverified
        canonical = canonical_request(self.request, claimed.signed_headers, payload_hash)
        signing_key = self.keys.signing_key(self.key, claimed.scope)
        expected = signature(signing_key, string_to_sign(claimed.timestamp, claimed.scope, canonical))
        if not hmac.compare_digest(expected, claimed.signature):
            raise InvalidSignature(
                "The request signature we calculated does not match the signature you provided. "
                "Check your AWS Secret Access Key and signing method.",
                debug_hint=f"The request arrived for the host {_echo(b','.join(self.request.values(b'host')))}: a "
                "reverse proxy on the way must pass on host, path and query unchanged.",
            )
        self.keys.note_use(self.key, self.now)
        return self.key


class Signatures:
    """Verifies signed requests by the access keys in memory."""

    def __init__(self, keys: AccessKeys, *, region: str, clock: Callable[[], float] = time.time) -> None:
        """Take the keys and the region whose signatures count, as it stands in ARNs."""
        self._keys = keys
        self._region = region
        self._clock = clock

    def begin(self, request: SignedRequest) -> Unproven:
        """Judge everything about a request's signature that needs no body.

        Raises:
            MissingSignature: it is not signed.
            IncompleteSignature: its headers cannot be read.
            UnknownAccessKey: the access key is unknown or disabled, or it is a temporary one.
            SignatureExpired: signed too long ago, or in the future.
            InvalidSignature: for another service, region or day, or a header that has to be signed is not.
        """
        unverified = read_signature(request)
        key = self._keys.get(unverified.access_key_id)
        if key is None:
            raise _unknown("there is no such access key, or it is disabled: see `portico access-keys list`")
        if request.values(b"x-amz-security-token"):
            raise _unknown("session tokens do not exist here; unset AWS_SESSION_TOKEN")
        now = self._clock()
        _check_scope(unverified, self._region)
        _check_time(unverified, now)
        _check_headers(unverified, request)
        return Unproven(request=request, unverified=unverified, key=key, keys=self._keys, now=now)

    def verify(self, request: SignedRequest, body: bytes) -> AccessKey:
        """Return the access key that signed a request; see :meth:`begin` and :meth:`Unproven.prove` for what fails."""
        return self.begin(request).prove(body)


def read_signature(request: SignedRequest) -> UnverifiedSignature:
    """Read the ``Authorization`` header and the date beside it.

    Raises:
        MissingSignature: there is no such header.
        IncompleteSignature: something in it, or the date, is missing, repeated or malformed.
    """
    parameters = _read_authorization(request)
    credential = parameters["Credential"].split("/")
    if len(credential) != 5 or not _KEY_ID.fullmatch(credential[0]):  # noqa: PLR2004 - the five parts of a credential
        raise IncompleteSignature(
            "Credential must have the form <access key id>/<date>/<region>/<service>/aws4_request, "
            f"not {_echo(parameters['Credential'])}."
        )
    if not _SIGNATURE.fullmatch(parameters["Signature"]):
        raise IncompleteSignature("Signature must be 64 lower-case hexadecimal digits.")
    names = tuple(parameters["SignedHeaders"].split(";"))
    if list(names) != sorted(set(names)) or parameters["SignedHeaders"] != parameters["SignedHeaders"].lower():
        raise IncompleteSignature("SignedHeaders must be in lower case, in order, and name no header twice.")
    header, timestamp, signed_at = _read_time(request)
    key_id, date, region, service, terminator = credential
    return UnverifiedSignature(
        access_key_id=key_id,
        scope=CredentialScope(date=date, region=region, service=service),
        terminator=terminator,
        signed_headers=names,
        signature=parameters["Signature"],
        timestamp=timestamp,
        signed_at=signed_at,
        date_header=header,
    )


def _read_authorization(request: SignedRequest) -> dict[str, str]:
    found = request.values(b"authorization")
    if not found:
        if b"X-Amz-Signature=" in request.query:
            raise MissingSignature("Missing Authentication Token: presigned URLs are not accepted; sign by header.")
        raise MissingSignature("Missing Authentication Token")
    if len(found) > 1 or len(found[0]) > MAX_AUTHORIZATION_BYTES or not found[0].isascii():
        raise IncompleteSignature(
            f"Authorization must be sent once, in ASCII, with at most {MAX_AUTHORIZATION_BYTES} bytes."
        )
    algorithm, _, rest = found[0].decode().partition(" ")
    if algorithm != ALGORITHM:
        raise IncompleteSignature(f"Authorization must be {ALGORITHM} with a signature, not {_echo(algorithm)}.")
    parameters: dict[str, str] = {}
    for part in rest.split(","):
        name, equals, value = part.strip(" ").partition("=")
        if not equals or not value or name in parameters or name not in _PARAMETERS:
            raise IncompleteSignature(f"Authorization must hold each of {', '.join(_PARAMETERS)} once.")
        parameters[name] = value
    missing = [name for name in _PARAMETERS if name not in parameters]
    if missing:
        raise IncompleteSignature(f"Authorization header requires {' and '.join(missing)}.")
    return parameters


def _read_time(request: SignedRequest) -> tuple[str, str, float]:
    """Return the header that says when it was signed, the time as it is signed, and in seconds since the epoch."""
    for name in ("x-amz-date", "date"):
        found = request.values(name.encode())
        if not found:
            continue
        moment = _moment(found[0].decode("latin-1").strip()) if len(found) == 1 else None
        if moment is None:
            raise IncompleteSignature(f"The header {name} must be sent once, in the form YYYYMMDD'T'HHMMSS'Z'.")
        return name, moment.strftime(_DATE_FORMAT), moment.timestamp()
    raise IncompleteSignature("Authorization requires one of the headers X-Amz-Date and Date.")


def _moment(text: str) -> datetime | None:
    try:
        if _TIMESTAMP.fullmatch(text):
            return datetime.strptime(text, _DATE_FORMAT).replace(tzinfo=UTC)
        moment = parsedate_to_datetime(text)
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def _check_scope(unverified: UnverifiedSignature, region: str) -> None:
    scope = unverified.scope
    if unverified.terminator != TERMINATOR:
        raise InvalidSignature(f"Credential should be scoped with a valid terminator: '{TERMINATOR}'.")
    if scope.service != SERVICE:
        raise InvalidSignature(f"Credential should be scoped to the service {SERVICE!r}, not {_echo(scope.service)}.")
    if scope.region != region:
        raise InvalidSignature(
            f"Credential should be scoped to the region {region!r}, not {_echo(scope.region)}; "
            "set AWS_DEFAULT_REGION or --region."
        )
    if scope.date != unverified.timestamp[:8]:
        raise InvalidSignature(
            f"Date in Credential scope does not match the request's: {_echo(scope.date)} is not that of "
            f"{unverified.timestamp}."
        )


def _check_time(unverified: UnverifiedSignature, now: float) -> None:
    minutes = MAX_SKEW_SECONDS // 60
    if unverified.signed_at < now - MAX_SKEW_SECONDS:
        bound = _timestamp(now - MAX_SKEW_SECONDS)
        raise SignatureExpired(
            f"Signature expired: {unverified.timestamp} is now earlier than {bound} "
            f"({_timestamp(now)} - {minutes} min.)"
        )
    if unverified.signed_at > now + MAX_SKEW_SECONDS:
        bound = _timestamp(now + MAX_SKEW_SECONDS)
        raise SignatureExpired(
            f"Signature not yet current: {unverified.timestamp} is still later than {bound} "
            f"({_timestamp(now)} + {minutes} min.)"
        )


def _check_headers(unverified: UnverifiedSignature, request: SignedRequest) -> None:
    """Judge which headers are signed, and the one that speaks of the payload."""
    sent = {name.decode("latin-1") for name, _ in request.headers}
    signed = frozenset(unverified.signed_headers)
    needed = {"host", unverified.date_header}
    needed |= {name for name in sent if name.startswith("x-amz-")} - _MAY_BE_UNSIGNED
    unsigned = sorted(needed - signed)
    if unsigned:
        raise InvalidSignature(f"These headers must be signed: {', '.join(unsigned)[:MAX_ECHO_CHARS]}.")
    absent = sorted(signed - sent)
    if absent:
        raise InvalidSignature(f"These headers are signed and were not received: {', '.join(absent)[:MAX_ECHO_CHARS]}.")
    for declared in request.values(b"x-amz-content-sha256"):
        if not _SIGNATURE.fullmatch(declared.decode("latin-1")):
            raise InvalidSignature(
                "The payload must be signed: x-amz-content-sha256 may be left out or be the SHA-256 of the body "
                "in lower-case hexadecimal digits."
            )


def _timestamp(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime(_DATE_FORMAT)


def _unknown(hint: str) -> UnknownAccessKey:
    return UnknownAccessKey("The security token included in the request is invalid.", detail=hint, debug_hint=hint)


def _echo(text: str | bytes) -> str:
    """Return what was sent so that it can stand in a sentence: bounded, printable."""
    plain = text.decode("latin-1") if isinstance(text, bytes) else text
    return ascii(plain[:MAX_ECHO_CHARS])
