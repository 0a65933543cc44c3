"""Who a person is by a provider's claims, and whether this connector lets them in. Pure.

Claims come from a judged ID token, or from userinfo over TLS. What decides is the subject and what the provider
verified; a name is for people to read.
"""

import unicodedata
from collections.abc import Mapping
from typing import Any, Final, cast

from portico.model.oauth_errors import AccessDenied, ServerError
from portico.oauth.connector_settings import ConnectorSettings
from portico.oauth.provider_adapters import Adapter
from portico.oauth.registration import UNNAMED, clean_name
from portico.oauth.upstream import Person

MAX_SUBJECT_CHARS: Final = 255  #: OpenID Connect Core section 2
MAX_EMAIL_CHARS: Final = 254  #: RFC 5321 section 4.5.3.1.3, without its brackets

_JOIN: Final = ":"  #: between the claims of a subject that has several; none of them may hold it
_YES: Final = (True, "true", 1, "1")  #: Cognito's userinfo sends text, Entra a number
_INVISIBLE: Final = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})


def merged_claims(id_claims: Mapping[str, Any], userinfo: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return both, the signed ones before the others.

    Raises:
        ServerError: they are of two people (OpenID Connect Core section 5.3.2).
    """
    if userinfo and id_claims and userinfo.get("sub") != id_claims.get("sub"):
        raise ServerError("The identity provider's answers are of two people.", detail="sub of userinfo differs")
    return {**userinfo, **id_claims}


def person_of(claims: Mapping[str, Any], adapter: Adapter, settings: ConnectorSettings) -> Person:
    """Return the person, whom the connector lets in.

    Raises:
        ServerError: the claims that say who it is are missing or malformed.
        AccessDenied: this account may not log in here.
    """
    subject = _subject(claims, settings.subject_claim or adapter.subject_claim)
    email = _email(claims, settings.email_claim or adapter.email_claim)
    _judge_account(claims, email, adapter, settings)
    return Person(connector=settings.name, subject=subject, name=_name(claims, adapter, settings), email=email)


def lacks(claims: Mapping[str, Any], adapter: Adapter, settings: ConnectorSettings) -> bool:
    """Tell whether a question of ours is open that userinfo could answer."""
    needed = {
        settings.name_claim or adapter.name_claim,
        settings.email_claim or adapter.email_claim,
        *(settings.subject_claim or adapter.subject_claim).split("+"),
        *settings.required_claims,
    }
    if settings.allowed_domains or settings.allowed_emails:
        needed.add(adapter.verified_claim)
    return not needed <= claims.keys()


def primary_email(entries: object) -> dict[str, Any]:
    """Return GitHub's list of addresses as claims: the primary one, and whether it is verified."""
    for entry in cast("list[object]", entries) if isinstance(entries, list) else []:
        members = cast("dict[str, Any]", entry) if isinstance(entry, dict) else {}
        if members.get("primary") is True:
            return {"email": members.get("email"), "email_verified": members.get("verified") is True}
    return {}


def _subject(claims: Mapping[str, Any], named: str) -> str:
    parts = [_identifier(claims.get(claim), claim) for claim in named.split("+")]
    if len(parts) > 1 and any(_JOIN in part for part in parts):
        raise ServerError("The identity provider's answer is not usable.", detail=f"{named} holds {_JOIN!r}")
    subject = _JOIN.join(parts)
    if len(subject) > MAX_SUBJECT_CHARS:
        raise ServerError("The identity provider's answer is not usable.", detail=f"{named} is too long")
    return subject


def _identifier(value: object, claim: str) -> str:
    text = str(value) if isinstance(value, int) and not isinstance(value, bool) else value
    if (
        not isinstance(text, str)
        or not text
        or any(unicodedata.category(character) in _INVISIBLE for character in text)
    ):
        raise ServerError(
            "The identity provider does not say who logged in.", detail=f"{claim} is missing or malformed"
        )
    return text


def _name(claims: Mapping[str, Any], adapter: Adapter, settings: ConnectorSettings) -> str:
    for claim in (settings.name_claim or adapter.name_claim, "preferred_username", "login"):
        value = claims.get(claim)
        if isinstance(value, str) and (cleaned := clean_name(value)) != UNNAMED:
            return cleaned
    return ""


def _email(claims: Mapping[str, Any], claim: str) -> str:
    value = claims.get(claim)
    if not isinstance(value, str) or len(value) > MAX_EMAIL_CHARS or value.count("@") != 1:
        return ""
    plain = value.isascii() and value.isprintable() and " " not in value  # no look-alike of an allowed address
    return value.lower() if plain else ""


def _judge_account(claims: Mapping[str, Any], email: str, adapter: Adapter, settings: ConnectorSettings) -> None:
    for claim, accepted in settings.required_claims.items():
        if not _texts(claims.get(claim)) & set(accepted):
            raise _denied(f"{claim} has none of the values of requiredClaims")
    if not settings.allowed_domains and not settings.allowed_emails:
        return
    verified = claims.get(adapter.verified_claim) in _YES
    if verified and email and email in settings.allowed_emails:
        return
    of_address = email.rpartition("@")[2] if verified else ""
    domain = claims.get(adapter.domain_claim) if adapter.domain_claim else of_address
    if domain and domain in settings.allowed_domains:
        return
    raise _denied(f"the address is not allowed, or {adapter.verified_claim} does not say that it is verified")


def _texts(value: object) -> set[str]:
    values = cast("list[object]", value) if isinstance(value, list) else [value]
    return {_text(entry) for entry in values if isinstance(entry, str | int)}


def _text(value: str | int) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _denied(detail: str) -> AccessDenied:
    return AccessDenied("This account may not log in here.", detail=detail)
