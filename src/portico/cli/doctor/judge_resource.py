"""Protected resource metadata: where it is looked for and what it must say (RFC 9728, MCP authorization). Pure."""

from dataclasses import dataclass
from typing import Any, cast
from urllib.parse import urlsplit

from portico.cli.doctor.finding import FaultFound
from portico.cli.doctor.http import Answer
from portico.cli.doctor.judge_answer import json_of, refuse_redirect, usable_url, words
from portico.oauth.resource import WELL_KNOWN, metadata_url


@dataclass(frozen=True, slots=True, kw_only=True)
class Resource:
    """What the metadata says."""

    resource: str
    issuer: str
    scopes: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def places(url: str, named: str) -> list[str]:
    """Return where the document of ``url`` is looked for: where the challenge says, path form, root form."""
    root = f"{origin_of(url)}{WELL_KNOWN}"
    return list(dict.fromkeys(place for place in (named, metadata_url(url), root) if place))


def origin_of(url: str) -> str:
    """Return scheme and authority of a URL."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


def judge_place(answer: Answer, *, named: bool) -> dict[str, Any] | None:
    """Return the document, None when it is not at this place but may be at the next.

    Raises:
        FaultFound: it is there and cannot be read, or the challenge ``named`` a place where it is not.
    """
    if answer.status in {401, 403}:
        raise FaultFound("metadata_protected", f"{answer.url} answers {answer.status} without a token{words(answer)}.")
    if answer.status >= 400:  # noqa: PLR2004  # HTTP's class of refusals
        if named:
            raise FaultFound(
                "resource_metadata_missing", f"The challenge names {answer.url}, which answers {answer.status}."
            )
        return None
    refuse_redirect(answer)
    return json_of(answer, "The resource metadata")


def judge_document(document: dict[str, Any], url: str) -> Resource:
    """Judge the metadata of the resource at ``url``.

    Raises:
        FaultFound: it is another resource's, or names no usable authorization server.
    """
    resource: object = document.get("resource")
    if not isinstance(resource, str) or not covers(resource, url):
        raise FaultFound(
            "resource_mismatch",
            f"`resource` is {resource!r}; the client's URL is {url!r}.",
            advice=_advice(resource, url),
        )
    servers = _strings(document.get("authorization_servers"))
    if not servers or not usable_url(servers[0]):
        raise FaultFound(
            "no_authorization_server", f"authorization_servers is {document.get('authorization_servers')!r}."
        )
    return Resource(
        resource=resource,
        issuer=servers[0],
        scopes=_strings(document.get("scopes_supported")),
        notes=tuple(_notes(document, url, servers)),
    )


def covers(resource: str, url: str) -> bool:
    """Tell whether SDK clients take ``resource`` for ``url``: the same, or on the same origin a parent of its path."""
    if resource == url:
        return True
    try:
        one, other = urlsplit(resource), urlsplit(url)
    except ValueError:
        return False
    if (one.scheme, one.netloc, one.query, one.fragment) != (other.scheme, other.netloc, "", ""):
        return False
    return f"{other.path}/".startswith(f"{one.path.rstrip('/')}/") and len(one.path) <= len(other.path)


def _advice(resource: object, url: str) -> str:
    if not isinstance(resource, str):
        return ""
    if resource.rstrip("/") == url.rstrip("/"):
        return "They differ in a trailing slash only."
    if resource.partition(":")[2] == url.partition(":")[2]:
        return "They differ in the scheme only: the server does not know that TLS ends before it."
    return ""


def _notes(document: dict[str, Any], url: str, servers: tuple[str, ...]) -> list[str]:
    notes: list[str] = []
    if document["resource"] != url:
        notes.append(
            f"`resource` is only a parent of the URL ({document['resource']}); VS Code and gemini-cli want it exact."
        )
    if len(servers) > 1:
        notes.append(f"{len(servers)} authorization servers are named; clients use the first.")
    if "offline_access" in _strings(document.get("scopes_supported")):
        notes.append("scopes_supported holds offline_access, which belongs into the authorization server's metadata.")
    return notes


def _strings(value: object) -> tuple[str, ...]:
    items = cast("list[object]", value) if isinstance(value, list) else []
    return tuple(item for item in items if isinstance(item, str))
