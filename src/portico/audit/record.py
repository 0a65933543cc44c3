"""A line of the journal: a record, its number in the chain and the hash of the line before it.

A line is one JSON object ``{"seq": n, "prev": "<SHA-256 of line n-1>", "event": ..., ...}``. The first line's ``prev``
is :func:`genesis` of its writer, so that a chain cannot be passed off as another writer's.
"""

import hashlib
from collections.abc import Mapping
from typing import Any, Final, Literal

import msgspec

from portico.model.call import Outcome

MAX_RECORD_BYTES: Final = 8 * 1024  #: of an encoded record; longer texts in it are cut
MAX_SIDE_BYTES: Final = 16 * 1024  #: of what a change record shows of before, and of after; whoever makes it sees to it
MAX_TEXT_CHARS: Final = 512  #: what a text of a record is cut to then

_ENCODER: Final = msgspec.json.Encoder()


class CallRecord(msgspec.Struct, frozen=True, kw_only=True, tag_field="event", tag="call"):
    """What became of one call. Never holds arguments or results."""

    time: float  #: when it came in, seconds since the epoch
    request_id: str
    gateway: str
    target: str
    tool: str
    method: str
    era: str
    version: str
    issuer: str
    user: str  #: the token's subject, or the ARN of who signed; empty for machines and anonymous callers
    client: str
    kind: str  #: of principal: user, machine or anonymous
    outcome: Outcome
    code: str = ""  #: of the error, empty when there was none
    duration_ms: float
    #: why a credential failed the call and what would mend it; with other failures the code says enough
    reason: str | msgspec.UnsetType = msgspec.UNSET


class TornRecord(msgspec.Struct, frozen=True, kw_only=True, tag_field="event", tag="torn"):
    """A line that a crash or a full disk left unfinished was set aside; its call was never answered."""

    time: float
    size: int  #: bytes of the unfinished line
    sha256: str  #: of these bytes, which lie beside the journal


class ChangeRecord(msgspec.Struct, frozen=True, kw_only=True, tag_field="event", tag="change"):
    """What somebody changed through the control plane. Never holds a secret."""

    time: float  #: seconds since the epoch
    change: str  #: 32 hex digits; a change that is journaled twice is one
    request_id: str
    kind: Literal["api", "file", "command", "process"]  #: by what way it came
    caller: str  #: the name of the access key, or of the file
    access_key_id: str  #: empty for what came otherwise
    operation: str  #: AWS's name
    arn: str
    gateway: str = ""  #: id, when it was about one
    before: dict[str, Any] | None = None  #: the document, secrets masked; None: there was none
    after: dict[str, Any] | None = None  #: likewise; None: there is none any more


Record = CallRecord | TornRecord | ChangeRecord
Searched = Literal["outcome", "gateway", "target", "tool", "user", "client"]


class Link(msgspec.Struct, frozen=True):
    """A line's place in its chain."""

    seq: int
    prev: str


_RECORDS: Final[msgspec.json.Decoder[Record]] = msgspec.json.Decoder(Record)
_LINKS: Final = msgspec.json.Decoder(Link)


def genesis(writer: str) -> str:
    """Return what the first line of a writer has as ``prev``."""
    return hashlib.sha256(b"portico audit journal|" + writer.encode()).hexdigest()


def digest(line: bytes) -> str:
    """Return the hash that the next line must name."""
    return hashlib.sha256(line).hexdigest()


def encode_line(sequence: int, previous: str, record: Record) -> bytes:
    """Return the line of ``record``, without its newline."""
    try:
        body = _ENCODER.encode(record)
    except UnicodeEncodeError:  # a lone surrogate out of someone's JSON
        body = _ENCODER.encode(_cut(record))
    if len(body) > MAX_RECORD_BYTES and not isinstance(record, ChangeRecord):
        body = _ENCODER.encode(_cut(record))
    return b'{"seq":%d,"prev":"%s",%s' % (sequence, previous.encode(), body[1:])


def decode_link(line: bytes | str) -> Link | None:
    """Return a line's place in its chain, or None when it is no line of a journal."""
    try:
        return _LINKS.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None


def decode_record(line: bytes | str) -> Record | None:
    """Return what a line records, or None when it is no line of a journal."""
    try:
        return _RECORDS.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None


def _cut(record: Record) -> Record:
    texts = {
        name: value.encode("utf-8", "replace").decode()[:MAX_TEXT_CHARS]
        for name in record.__struct_fields__
        if isinstance(value := getattr(record, name), str)
    }
    return msgspec.structs.replace(record, **texts)


CHANGED: Final = "changed"  #: the outcome under which changes stand in the column that is searched

_OUTCOME_CHARS: Final = 20
_GATEWAY_CHARS: Final = 120
_TARGET_CHARS: Final = 100
#: Fields of a call that are searched for; columns of the database bear the same names. With each, the characters that
#: its column takes.
SEARCHED: Final[Mapping[Searched, int | None]] = {
    "outcome": _OUTCOME_CHARS,
    "gateway": _GATEWAY_CHARS,
    "target": _TARGET_CHARS,
    "tool": None,
    "user": None,
    "client": None,
}


def searched(record: Record) -> dict[Searched, str]:
    """Return what the columns hold that are searched, by their names; all empty for what is no call and no change."""
    return dict(zip(SEARCHED, searched_values(record), strict=True))


def searched_values(record: Record) -> tuple[str, ...]:
    """Return what the columns hold that are searched, in the order of :data:`SEARCHED`.

    PostgreSQL stores no NUL and nothing longer than its column. Tool names and subjects are what others chose: one such
    record must not stop the shipping of all.
    """
    values = _values(record)
    if _fits(values):  # nearly always; the rest costs more than the insertion
        return values
    limits = zip(values, SEARCHED.values(), strict=True)
    return tuple(value.replace("\0", "\N{REPLACEMENT CHARACTER}")[:most] for value, most in limits)


def _fits(values: tuple[str, ...]) -> bool:
    outcome, gateway, target, _tool, _user, _client = values
    return (
        len(outcome) <= _OUTCOME_CHARS
        and len(gateway) <= _GATEWAY_CHARS
        and len(target) <= _TARGET_CHARS
        and "\0" not in "".join(values)
    )


def _values(record: Record) -> tuple[str, ...]:
    match record:
        case CallRecord():
            return record.outcome, record.gateway, record.target, record.tool, record.user, record.client
        case ChangeRecord():
            return CHANGED, record.gateway, "", record.operation, record.caller, record.access_key_id
        case TornRecord():
            return "", "", "", "", "", ""
