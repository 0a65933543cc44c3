"""Why a gateway refuses a token that was just got: time, issuer, audience, scopes or client. Pure.

The token's own content is unverified and only explains; what refuses is the gateway.
"""

import re
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Final

from portico.cli.doctor.finding import FaultFound
from portico.cli.doctor.http import Answer
from portico.cli.doctor.judge_answer import words
from portico.cli.doctor.judge_challenge import Challenge, read_challenges
from portico.cli.doctor.judge_token import Claims

LEEWAY: Final = 60.0  #: seconds that clocks may differ before a gateway has a reason to mind

_AUDIENCE = re.compile(r"(?i)\baud(?:ience)?\b|allowedAudience|with that resource")
_EXPIRED = re.compile(r"(?i)\bexpired?\b|not yet valid|in the future")
_CLIENT = re.compile(r"(?i)allowedClients|\bclient_id\b")


@dataclass(frozen=True, slots=True, kw_only=True)
class Presented:
    """The token that a request carried, and how it was got."""

    resource: str
    issuer: str  #: of the server's metadata; empty when that was not read
    claims: Claims
    granted: frozenset[str]  #: scopes
    required: frozenset[str]  #: scopes that the first challenge asked for
    fresh: bool  #: got a moment ago, in this walk
    now: float  #: this machine's clock, seconds since the epoch


def judge_access(answer: Answer, presented: Presented) -> None:
    """Judge whether the token was let in.

    Raises:
        FaultFound: it was not.
    """
    match answer.status:
        case 401:
            raise _unauthorized(answer, presented)
        case 403:
            raise _forbidden(answer, presented)
        case _:
            return


def _unauthorized(answer: Answer, presented: Presented) -> FaultFound:
    bearer = _bearer(answer)
    said = bearer.get("error_description") or words(answer).removeprefix(" - ")
    claims = presented.claims
    late = _out_of_time(claims, clock_of(answer, presented.now), presented)
    if late or _EXPIRED.search(said):
        fault = "clock_skew" if presented.fresh else "token_expired"
        return FaultFound(fault, f"{_quoted(said)}{late or _times(claims)}".strip())
    if not _AUDIENCE.search(said) and claims.issuer and presented.issuer and claims.issuer != presented.issuer:
        return FaultFound(
            "token_issuer", f"{_quoted(said)}The token says iss {claims.issuer!r}, the metadata {presented.issuer!r}."
        )
    if _AUDIENCE.search(said) or (claims.readable and presented.resource not in claims.audience):
        audience = ", ".join(claims.audience) or "nothing"
        return FaultFound(
            "audience_wrong", f"{_quoted(said)}The token is for {audience}; the URL is {presented.resource}."
        )
    return FaultFound("token_refused", said or f"{answer.url} answers 401 to the token.")


def _forbidden(answer: Answer, presented: Presented) -> FaultFound:
    bearer = _bearer(answer)
    said = bearer.get("error_description") or words(answer).removeprefix(" - ")
    if bearer.get("error") != "insufficient_scope" and "insufficient_scope" not in said:
        return FaultFound("token_refused", f"{answer.url} answers 403 to the token. {said}".strip())
    required = frozenset(bearer.get("scope").split()) or presented.required
    missing = required - presented.granted
    claims = presented.claims
    who = f"The token's client is {claims.client!r} (claim {claims.client_claim})." if claims.client else ""
    if not missing or _CLIENT.search(said):
        advice = who
        if claims.client and claims.client_claim != "client_id":
            advice += f" allowedClients compares client_id only: use a custom claim rule on {claims.client_claim}."
        has = " ".join(sorted(presented.granted)) or "none"
        return FaultFound(
            "client_not_allowed", f"{_quoted(said)}insufficient_scope; the token has {has}.", advice=advice
        )
    lacks = " ".join(sorted(missing))
    either = (
        f"If one of them is enough there, it is the client that is not allowed. {who}" if missing != required else ""
    )
    return FaultFound("scope_missing", f"{_quoted(said)}The token lacks {lacks}.", advice=either.strip())


def clock_of(answer: Answer, otherwise: float) -> float:
    """Return the time that the server says it is (``Date``), seconds since the epoch."""
    try:
        return parsedate_to_datetime(answer.header("date")).timestamp()
    except (ValueError, TypeError):
        return otherwise


def _out_of_time(claims: Claims, theirs: float, presented: Presented) -> str:
    """Say in which way the token is out of its time; empty when it is not."""
    if claims.expires_at is not None and claims.expires_at <= theirs:
        return (
            f"It expired {theirs - claims.expires_at:.0f} s ago by the gateway's clock.{_difference(theirs, presented)}"
        )
    if claims.not_before is not None and claims.not_before > theirs:
        return f"Its nbf is {claims.not_before - theirs:.0f} s ahead of the gateway.{_difference(theirs, presented)}"
    if claims.issued_at is not None and claims.issued_at > theirs + LEEWAY:
        return f"Its iat is {claims.issued_at - theirs:.0f} s ahead of the gateway.{_difference(theirs, presented)}"
    return ""


def _difference(theirs: float, presented: Presented) -> str:
    off = theirs - presented.now
    return f" The gateway's clock differs from this machine's by {off:+.0f} s." if abs(off) > LEEWAY else ""


def _times(claims: Claims) -> str:
    return "" if claims.expires_at is None else f"Its exp is {claims.expires_at:.0f}."


def _bearer(answer: Answer) -> Challenge:
    try:
        challenges = read_challenges(answer.all("www-authenticate"))
    except ValueError:
        challenges = []
    return next((each for each in challenges if each.scheme == "bearer"), Challenge(scheme="bearer"))


def _quoted(said: str) -> str:
    return f"The gateway says: {said} " if said else ""
