"""The token endpoint's answers (RFC 6749 sections 5.1 and 5.2), and what an access token shows of itself. Pure."""

import base64
import binascii
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, cast

from portico.cli.doctor.finding import FaultFound
from portico.cli.doctor.http import Answer
from portico.cli.doctor.judge_answer import error_of, is_page, refuse_redirect
from portico.cli.doctor.judge_refusal import fault_of
from portico.model.secret import Secret

_OK: Final = 200
_CLIENT_CLAIMS: Final = ("client_id", "azp", "appid", "cid")
_CODES: Final = {
    "invalid_client": "invalid_client",
    "unauthorized_client": "unauthorized_client",
    "invalid_grant": "invalid_grant",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Tokens:
    """What the token endpoint gave."""

    access_token: Secret
    refresh_token: Secret
    expires_in: int | None  #: seconds
    scope: str
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Claims:
    """What stands in an access token, unverified; empty for an opaque one."""

    readable: bool = False
    issuer: str = ""
    audience: tuple[str, ...] = ()
    client: str = ""
    client_claim: str = ""
    scopes: frozenset[str] = frozenset()
    expires_at: float | None = None
    not_before: float | None = None
    issued_at: float | None = None


def judge_token(answer: Answer, *, resource: str, refreshing: bool = False) -> Tokens:
    """Return the tokens that were asked for ``resource``, empty for none.

    Raises:
        FaultFound: there are none.
    """
    refuse_redirect(answer)
    if answer.status != _OK:
        raise _refused(answer, resource, refreshing=refreshing)
    document = answer.json()
    if document is None:
        kind = "a web page" if is_page(answer) else answer.content_type or "something without a type"
        raise FaultFound("token_answer", f"The token endpoint answers 200 with {kind}.")
    if "error" in document:  # GitHub answers errors with 200
        raise _refused(answer, resource, refreshing=refreshing)
    access, kind = document.get("access_token"), document.get("token_type")
    if not isinstance(access, str) or not access:
        raise FaultFound("token_answer", "The token answer has no access_token.")
    if not isinstance(kind, str) or kind.lower() != "bearer":
        raise FaultFound("token_answer", f"token_type is {kind!r}.")
    refresh, lifetime, scope = (document.get(name) for name in ("refresh_token", "expires_in", "scope"))
    return Tokens(
        access_token=Secret(access),
        refresh_token=Secret(refresh if isinstance(refresh, str) else ""),
        expires_in=lifetime if isinstance(lifetime, int) else None,
        scope=scope if isinstance(scope, str) else "",
        notes=tuple(_notes(answer, lifetime)),
    )


def read_claims(token: str) -> Claims:
    """Return what a token shows of itself. Nothing is verified: it only explains why somebody else refuses it."""
    parts = token.split(".")
    if len(parts) != 3:  # noqa: PLR2004  # header, payload, signature
        return Claims()
    try:
        raw = base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4))
        value: object = json.loads(raw)
    except (binascii.Error, ValueError, RecursionError):
        return Claims()
    if not isinstance(value, dict):
        return Claims()
    claims = cast("dict[str, Any]", value)
    name = next((name for name in _CLIENT_CLAIMS if isinstance(claims.get(name), str)), "")
    return Claims(
        readable=True,
        issuer=str(claims.get("iss", "")),
        audience=_listed(claims.get("aud")),
        client=str(claims.get(name, "")),
        client_claim=name,
        scopes=frozenset(scope for claim in ("scope", "scp") for scope in _scopes(claims.get(claim))),
        expires_at=_moment(claims, "exp"),
        not_before=_moment(claims, "nbf"),
        issued_at=_moment(claims, "iat"),
    )


def _refused(answer: Answer, resource: str, *, refreshing: bool) -> FaultFound:
    code, description = error_of(answer)
    said = ": ".join(part for part in (code, description) if part) or f"HTTP {answer.status}"
    seen = f"The token endpoint answers {answer.status}: {said}"
    if refreshing:
        return FaultFound("refresh_refused", seen)
    if code in _CODES:
        sure = fault_of(code, description, otherwise=_CODES[code], resource=resource)
        return FaultFound(sure, seen)
    fallback = "invalid_client" if answer.status == 401 else "authorization_refused"  # noqa: PLR2004  # HTTP
    return FaultFound(fault_of(code, description, otherwise=fallback, resource=resource), seen)


def _notes(answer: Answer, lifetime: object) -> list[str]:
    notes: list[str] = []
    if "no-store" not in answer.header("cache-control").lower():
        notes.append("The token answer lacks Cache-Control: no-store (RFC 6749 section 5.1).")
    if not isinstance(lifetime, int):
        notes.append("expires_in is missing; clients cannot refresh in time.")
    return notes


def _moment(claims: Mapping[str, Any], name: str) -> float | None:
    value: object = claims.get(name)
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def _listed(value: object) -> tuple[str, ...]:
    items = cast("list[object]", value) if isinstance(value, list) else [value]
    return tuple(item for item in items if isinstance(item, str))


def _scopes(value: object) -> list[str]:
    return value.split() if isinstance(value, str) else list(_listed(value))
