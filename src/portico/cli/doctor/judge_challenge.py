"""The answer to a call without a token: the challenge (RFC 9110 section 11.6.1, RFC 9728 section 5.1). Pure."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from portico.cli.doctor.finding import FaultFound
from portico.cli.doctor.http import Answer
from portico.cli.doctor.judge_answer import is_page, refuse_redirect, usable_url, words

_TOKEN: Final = r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"  # noqa: S105  # RFC 9110's name of a word
_SPACES_AND_COMMAS = re.compile(r"[ \t,]*")
_PARAMETER = re.compile(rf'({_TOKEN})[ \t]*=[ \t]*(?:({_TOKEN})|"((?:[^"\\]|\\.)*)")(?=[ \t]*(?:,|\Z))')
#: A scheme with its first parameter next, or with a token68 or nothing and the end of the challenge.
_SCHEME = re.compile(
    rf'({_TOKEN})(?:[ \t]+(?={_TOKEN}[ \t]*=[ \t]*(?:{_TOKEN}|"))|'
    r"(?:[ \t]+[A-Za-z0-9\-._~+/]+=*)?(?=[ \t]*(?:,|\Z)))"
)
_ESCAPED = re.compile(r"\\(.)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Challenge:
    """One challenge of a ``WWW-Authenticate``."""

    scheme: str  #: in lower case
    parameters: Mapping[str, str] = field(default_factory=dict[str, str])  #: names in lower case

    def get(self, name: str) -> str:
        """Return a parameter, empty when it is missing."""
        return self.parameters.get(name, "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What a server says to a call without a token."""

    open: bool = False  #: it asks for none
    resource_metadata: str = ""
    scopes: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def read_challenges(values: Sequence[str]) -> list[Challenge]:
    """Parse every ``WWW-Authenticate`` header of an answer.

    Raises:
        ValueError: it is not what RFC 9110 section 11.6.1 says; the text quotes the place.
    """
    return [challenge for value in values for challenge in _read(value)]


def _read(value: str) -> list[Challenge]:
    found: list[Challenge] = []
    parameters: dict[str, str] = {}
    at = _skip(value, 0)
    while at < len(value):
        parameter = _PARAMETER.match(value, at)
        if parameter is not None and found:
            quoted = parameter[3]
            parameters[parameter[1].lower()] = parameter[2] if quoted is None else _ESCAPED.sub(r"\1", quoted)
            at = _skip(value, parameter.end())
            continue
        scheme = _SCHEME.match(value, at)
        if scheme is None or parameter is not None:
            raise ValueError(value[at : at + 60])
        parameters = {}
        found.append(Challenge(scheme=scheme[1].lower(), parameters=parameters))
        at = _skip(value, scheme.end())
    return found


def _skip(value: str, at: int) -> int:
    found = _SPACES_AND_COMMAS.match(value, at)
    return found.end() if found else at


def judge_challenge(answer: Answer) -> Asked:
    """Judge the answer to a call without a token.

    Raises:
        FaultFound: a client does not learn from it how to get one.
    """
    refuse_redirect(answer)
    match answer.status:
        case 401:
            return _judge_unauthorized(answer)
        case 403 | 421:
            raise _turned_away(answer)
        case 404 | 405 if answer.json() is None or "jsonrpc" not in (answer.json() or {}):
            raise FaultFound("not_found", f"{answer.url} answers a POST with HTTP {answer.status}{words(answer)}.")
        case _ if "jsonrpc" in (answer.json() or {}):
            return Asked(open=True)
        case _:
            raise FaultFound("html" if is_page(answer) else "not_mcp", _no_mcp(answer))


def _judge_unauthorized(answer: Answer) -> Asked:
    values = answer.all("www-authenticate")
    try:
        challenges = read_challenges(values)
    except ValueError as error:
        raise FaultFound("malformed_challenge", f"WWW-Authenticate cannot be read at: {error}") from error
    bearers = [challenge for challenge in challenges if challenge.scheme == "bearer"]
    if not bearers:
        schemes = ", ".join(challenge.scheme for challenge in challenges)
        seen = f"WWW-Authenticate offers {schemes} only." if schemes else "There is no WWW-Authenticate header."
        raise FaultFound("no_challenge", f"{answer.url} answers 401. {seen}")
    bearer = bearers[0]
    metadata = bearer.get("resource_metadata")
    if metadata and not usable_url(metadata):
        raise FaultFound("malformed_challenge", f"resource_metadata is no https URL: {metadata}")
    return Asked(
        resource_metadata=metadata, scopes=tuple(bearer.get("scope").split()), notes=tuple(_notes(challenges, bearer))
    )


def _notes(challenges: Sequence[Challenge], bearer: Challenge) -> list[str]:
    notes: list[str] = []
    if len(challenges) > 1:
        notes.append("Several challenges in one answer: some clients read the fields of all as one.")
    if not bearer.get("resource_metadata"):
        notes.append("The challenge names no resource_metadata; clients guess its place.")
    if bearer.get("error"):
        notes.append(
            f"The challenge says error={bearer.get('error')} although no token was sent (RFC 6750 section 3.1)."
        )
    if "offline_access" in bearer.get("scope").split():
        notes.append("The challenge asks for offline_access, which is the client's affair.")
    return notes


def _turned_away(answer: Answer) -> FaultFound:
    signed = answer.header("x-amzn-errortype") + answer.text
    if "MissingAuthenticationToken" in signed or "IncompleteSignature" in signed or "SigV4" in signed:
        return FaultFound("signed_endpoint", f"{answer.url} answers 403{words(answer)}.")
    return FaultFound("turned_away", f"{answer.url} answers {answer.status} without a challenge{words(answer)}.")


def _no_mcp(answer: Answer) -> str:
    kind = answer.content_type or "no content type"
    return f"{answer.url} answers an MCP request with HTTP {answer.status} ({kind}){words(answer)}."
