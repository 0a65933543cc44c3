"""Authorization server metadata: where it is looked for and what it must say (RFC 8414, OpenID Discovery). Pure."""

from dataclasses import dataclass
from typing import Any, cast
from urllib.parse import urlsplit

from portico.cli.doctor.finding import FaultFound
from portico.cli.doctor.http import Answer
from portico.cli.doctor.judge_answer import is_page, refuse_redirect, usable_url, words
from portico.cli.doctor.profiles import Profile


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """What the metadata says."""

    issuer: str
    authorization_endpoint: str
    token_endpoint: str
    registration_endpoint: str = ""
    documents: bool = False  #: takes client id metadata documents
    sends_iss: bool = False  #: promises ``iss`` in redirects (RFC 9207)
    scopes: tuple[str, ...] = ()
    authentication: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def places(issuer: str) -> list[str]:
    """Return where the document of ``issuer`` is looked for, in the order of the MCP specification."""
    parts = urlsplit(issuer)
    origin, path = f"{parts.scheme}://{parts.netloc}", parts.path.rstrip("/")
    inserted = [f"{origin}/.well-known/{name}{path}" for name in ("oauth-authorization-server", "openid-configuration")]
    return [*inserted, f"{origin}{path}/.well-known/openid-configuration"] if path else inserted


def judge_place(answer: Answer) -> dict[str, Any] | None:
    """Return the document, None when it may be at the next place.

    Raises:
        FaultFound: it is behind a login.
    """
    if answer.status in {401, 403}:
        raise FaultFound("metadata_protected", f"{answer.url} answers {answer.status} without a token{words(answer)}.")
    if answer.status >= 400 or is_page(answer):  # noqa: PLR2004  # HTTP's class of refusals
        return None  # a single-page application answers every path with its page
    refuse_redirect(answer)
    return answer.json()


def judge_document(document: dict[str, Any], issuer: str, profile: Profile) -> Server:
    """Judge the metadata that was found for ``issuer`` as ``profile`` would.

    Raises:
        FaultFound: the client would stop here.
    """
    notes = _judge_issuer(document.get("issuer"), issuer, profile)
    needed = (
        ("token_endpoint",) if profile.grant == "client_credentials" else ("authorization_endpoint", "token_endpoint")
    )
    for name in needed:
        if not usable_url(document.get(name)):
            raise FaultFound("endpoint_missing", f"{name} is {document.get(name)!r}.")
    notes += _judge_pkce(document, profile)
    grants = _strings(document.get("grant_types_supported"))
    if grants and profile.grant not in grants:
        notes.append(f"grant_types_supported lacks {profile.grant}: {', '.join(grants)}.")
    return Server(
        issuer=issuer,
        authorization_endpoint=str(document.get("authorization_endpoint", "")),
        token_endpoint=str(document["token_endpoint"]),
        registration_endpoint=str(document.get("registration_endpoint") or ""),
        documents=document.get("client_id_metadata_document_supported") is True,
        sends_iss=document.get("authorization_response_iss_parameter_supported") is True,
        scopes=_strings(document.get("scopes_supported")),
        authentication=_strings(document.get("token_endpoint_auth_methods_supported")),
        notes=tuple(notes),
    )


def _judge_issuer(found: object, issuer: str, profile: Profile) -> list[str]:
    if found == issuer:
        return []
    seen = f"The resource metadata names {issuer!r}, the document says {found!r}."
    if not profile.reads_metadata:
        return [f"{seen} Clients that read the metadata refuse it."]
    slash = isinstance(found, str) and found.rstrip("/") == issuer.rstrip("/")
    raise FaultFound("issuer_trailing_slash" if slash else "issuer_mismatch", seen)


def _judge_pkce(document: dict[str, Any], profile: Profile) -> list[str]:
    methods = _strings(document.get("code_challenge_methods_supported"))
    if "S256" in methods or profile.grant == "client_credentials":
        return []
    seen = f"code_challenge_methods_supported is {document.get('code_challenge_methods_supported')!r}."
    if profile.pkce and profile.reads_metadata:
        raise FaultFound("no_s256", seen)
    return [f"{seen} Clients that read the metadata refuse it."]


def _strings(value: object) -> tuple[str, ...]:
    items = cast("list[object]", value) if isinstance(value, list) else []
    return tuple(item for item in items if isinstance(item, str))
