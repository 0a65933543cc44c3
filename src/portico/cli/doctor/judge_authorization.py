"""The authorization endpoint's answer and the redirect that ends a login (RFC 6749 section 4.1, RFC 9207). Pure."""

import base64
import binascii
import html
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal
from urllib.parse import parse_qsl, unquote, urljoin, urlsplit

from portico.cli.doctor.finding import FaultFound
from portico.cli.doctor.http import Answer
from portico.cli.doctor.judge_answer import cut, error_of, is_page
from portico.cli.doctor.judge_refusal import fault_of
from portico.cli.doctor.judge_server import Server

_REDIRECTS: Final = range(300, 400)
_ENTRA = re.compile(r"AADSTS[0-9]{4,9}[^<\"]{0,300}")
_UNREAD = re.compile(r"<(?:script|style)\b", re.IGNORECASE)
_UNREAD_END = re.compile(r"</(?:script|style)[^<>]{0,200}>", re.IGNORECASE)
_TAG = re.compile(r"<[^<>]{0,2000}>")
MAX_PAGE_CHARS: Final = 64 * 1024  #: of an error page that are read


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """What the authorization endpoint shows a browser that comes for the first time."""

    kind: Literal["page", "onward", "code"]
    parameters: Mapping[str, str]  #: of the redirect, when it came back at once
    location: str = ""


def judge_probe(answer: Answer, redirect_uri: str, *, resource: str) -> Probe:
    """Judge the answer to the authorization request for ``resource``, empty for none.

    Raises:
        FaultFound: the person would see an error instead of a login.
    """
    if answer.status in _REDIRECTS:
        location = _target(answer)
        if location.split("?")[0] == redirect_uri.split("?", maxsplit=1)[0]:
            return Probe(kind="code", parameters=parameters_of(location), location=location)
        _judge_onward(location, resource)
        return Probe(kind="onward", parameters={}, location=location)
    if answer.status == 200:  # noqa: PLR2004  # HTTP
        entra = _ENTRA.search(answer.text)
        if entra is not None:
            raise _refused("", entra[0], resource)
        return Probe(kind="page", parameters={})
    code, description = error_of(answer)
    text = description or (page_text(answer.text) if is_page(answer) else "")
    raise _refused(code, text or f"HTTP {answer.status}", resource)


def judge_response(parameters: Mapping[str, str], *, state: str, server: Server, resource: str) -> str:
    """Return the code of the redirect that ends the login.

    Raises:
        FaultFound: the client must refuse it, or it brings an error.
    """
    if parameters.get("state") != state:
        raise FaultFound("state_wrong", f"state is {'another' if parameters.get('state') else 'missing'}.")
    iss = parameters.get("iss")
    if iss is not None and iss != server.issuer:  # before anything else of it is believed
        raise FaultFound("iss_wrong", f"iss is {iss!r}, the metadata's issuer is {server.issuer!r}.")
    if iss is None and server.sends_iss:
        raise FaultFound("iss_missing", "The redirect has no iss, which the metadata promises.")
    if "error" in parameters:
        raise _refused(parameters["error"], parameters.get("error_description", ""), resource)
    if not parameters.get("code"):
        raise FaultFound("authorization_refused", "The redirect brings neither a code nor an error.")
    return parameters["code"]


def parameters_of(location: str) -> dict[str, str]:
    """Return the parameters of a redirect."""
    return dict(parse_qsl(urlsplit(location).query, keep_blank_values=True))


def page_text(page: str) -> str:
    """Return what a person reads of an error page, roughly, on one line."""
    first, *others = _UNREAD.split(page[:MAX_PAGE_CHARS])
    readable = " ".join([first, *(end[-1] for part in others if len(end := _UNREAD_END.split(part, maxsplit=1)) > 1)])
    return cut(html.unescape(_TAG.sub(" ", readable)))


def _target(answer: Answer) -> str:
    """Return where a redirect leads."""
    location = answer.header("location")
    try:
        return urljoin(answer.url, location)
    except ValueError as error:
        raise FaultFound(
            "authorization_refused", f"The authorization endpoint redirects to no URL: {location}"
        ) from error


def _judge_onward(location: str, resource: str) -> None:
    """Providers have error pages of their own, told by parameters of the redirect to them."""
    parameters = parameters_of(location)
    code = parameters.get("error", "")
    google = _decoded(parameters.get("authError", ""))
    if code or google:
        said = google or parameters.get("error_description", "") or unquote(urlsplit(location).query)
        raise _refused(code, said, resource)


def _decoded(text: str) -> str:
    try:
        raw = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except (binascii.Error, ValueError):
        return ""
    return cut("".join(char if char.isprintable() else " " for char in raw.decode("utf-8", "replace")))


def _refused(code: str, text: str, resource: str) -> FaultFound:
    said = ": ".join(part for part in (code, cut(text)) if part)
    fault = {"invalid_client": "client_unknown", "unauthorized_client": "client_unknown"}.get(
        code, fault_of(code, text, otherwise="authorization_refused", resource=resource)
    )
    return FaultFound(fault, f"The authorization endpoint says: {said}")
