"""The record of every change: put down in the transaction of the change itself, then moved into the audit journal.

The journal is a file of one process and a change is a transaction that any process may make, the command line among
them. So a record is first a row: it is committed with the change or not at all. A job moves rows into the journal of
whoever runs it; a process that dies in between leaves the row, and one that dies between the two writes leaves the
record twice, under one number (docs/adr/0012-changes-reach-the-journal-through-a-row.md).
"""

import hashlib
import os
import pwd
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal, Protocol, cast
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection

from portico.audit.record import MAX_SIDE_BYTES, ChangeRecord
from portico.control.access import Caller
from portico.control.arns import parse_arn
from portico.control.jobs import Again
from portico.control.secrets import Random
from portico.model.errors import JournalFull
from portico.storage import changes, jobs
from portico.storage.changes import ChangeRow
from portico.storage.engine import Database
from portico.storage.jobs import JobRow

CHANGES_JOB: Final = "changes"  #: kind of the job that moves records into the journal
JOB_KEY: Final = "journal"
BATCH: Final = 100  #: records moved in one transaction
FULL_SECONDS: Final = 5.0  #: between tries while the journal is full

STARS: Final = "********"
MAX_TEXT_CHARS: Final = 512  #: of one text of a document; of a longer one the beginning and a digest are recorded
SHOWN_CHARS: Final = 128  #: the beginning
MAX_ENTRIES: Final = 100  #: of one list of a document
MAX_DEPTH: Final = 32  #: levels of a document

#: Members whose value is a secret. Names that end in Arn or Url, and references to secrets kept elsewhere, are none.
_SECRET = re.compile(
    r"(?i)(secret|api_?key|password|passphrase|private_?key|token|assertion|authorization|credential)s?(value|hash)?\Z"
)
#: Query parameters of URLs whose value is one, too.
_PARAMETER = re.compile(r"(?i)(key|token|secret|password|sig|signature|auth|code|credential)s?\Z")
_URL = re.compile(r"[a-z][a-z0-9+.-]{1,20}://", re.IGNORECASE)

Way = Literal["api", "file", "command", "process"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangeLog:
    """Puts down the changes of one request, file or command."""

    kind: Way
    caller: str  #: the access key's name, or the file's
    access_key_id: str = ""
    request_id: str = ""
    clock: Callable[[], float] = time.time
    random: Random = os.urandom

    async def record(
        self,
        conn: AsyncConnection,
        action: str,
        arn: str,
        before: Mapping[str, Any] | None,
        after: Mapping[str, Any] | None,
        /,
    ) -> None:
        """Put down what ``action`` made of the resource ``arn``, and ask for it to be journaled."""
        now, number = self.clock(), self.random(16).hex()
        about = parse_arn(arn)
        record = ChangeRecord(
            time=now,
            change=number,
            request_id=self.request_id,
            kind=self.kind,
            caller=self.caller,
            access_key_id=self.access_key_id,
            operation=action,
            arn=arn,
            gateway=about.name if about is not None and about.kind in {"gateway", "target"} else "",
            before=shown(before),
            after=shown(after),
        )
        await changes.add(conn, ChangeRow(id=number, time=now, record=msgspec.to_builtins(record)))
        await jobs.put(conn, CHANGES_JOB, JOB_KEY, now)


#: For what nobody says on whose behalf it happens.
BY_PROCESS: Final = ChangeLog(kind="process", caller="")


def changes_of_command() -> ChangeLog:
    """Return what puts down the changes of a command: on behalf of whoever's account it runs under."""
    uid = os.getuid()
    try:
        name = pwd.getpwuid(uid).pw_name
    except KeyError:  # containers often have no entry
        name = str(uid)
    return ChangeLog(kind="command", caller=name)


def changes_of(
    caller: Caller, request_id: str, *, clock: Callable[[], float] = time.time, random: Random = os.urandom
) -> ChangeLog:
    """Return what puts down the changes of one API request."""
    return ChangeLog(
        kind="api",
        caller=caller.name,
        access_key_id=caller.access_key_id,
        request_id=request_id,
        clock=clock,
        random=random,
    )


class Appends(Protocol):
    """A journal."""

    def append(self, record: ChangeRecord) -> None:
        """Write one record.

        Raises:
            JournalFull: there is no room for it.
        """
        ...


class ChangeShipper:
    """Runs the ``changes`` job: moves records from the database into this process's journal."""

    def __init__(self, database: Database, journal: Appends) -> None:
        self._database = database
        self._journal = journal

    async def run(self, _job: JobRow) -> Again | None:
        """Move what there is, the oldest first."""
        while True:
            async with self._database.write(shared=True) as conn:
                rows = await changes.oldest(conn, limit=BATCH)
                moved, full = self._append(rows)
                await changes.remove(conn, moved)
            if full:
                return Again(seconds=FULL_SECONDS, reason="the audit journal is full")
            if len(rows) < BATCH:
                return None

    def _append(self, rows: list[ChangeRow]) -> tuple[list[str], bool]:
        moved: list[str] = []
        for row in rows:
            try:
                self._journal.append(msgspec.convert(row.record, ChangeRecord))
            except JournalFull:
                return moved, True
            moved.append(row.id)
        return moved, False


def shown(document: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """Return a document as it may be recorded: secrets masked, what is long cut, what is too large left out."""
    if document is None:
        return None
    masked: dict[str, Any] = _masked(document, 0)
    encoded = msgspec.json.encode(masked)
    if len(encoded) <= MAX_SIDE_BYTES:
        return masked
    digest = hashlib.sha256(encoded).hexdigest()
    return {"omitted": f"{len(encoded)} bytes", "sha256": digest, "members": sorted(masked)[:MAX_ENTRIES]}


def _masked(value: Any, depth: int) -> Any:
    if depth > MAX_DEPTH:
        return "..."
    match value:
        case Mapping():
            entries = cast("Mapping[object, Any]", value).items()
            return {str(key): _member(str(key), entry, depth + 1) for key, entry in entries}
        case list() | tuple():
            entries = cast("list[Any]", value)
            cut = [_masked(entry, depth + 1) for entry in entries[:MAX_ENTRIES]]
            return cut if len(entries) <= MAX_ENTRIES else [*cut, f"... ({len(entries)} entries)"]
        case str():
            return _text(value)
        case None | bool() | int() | float():
            return value
        case _:
            return STARS  # a Secret, bytes: nothing of a document


def _member(name: str, value: Any, depth: int) -> Any:
    if name == "customParameters" and isinstance(value, Mapping):  # AWS's model calls their values sensitive
        return dict.fromkeys(cast("Mapping[str, Any]", value), STARS)
    # A member of such a name that holds an object may be a reference; its own members are looked at.
    if _SECRET.search(name) is not None and isinstance(value, str | bytes | list) and name != "clientToken":
        return STARS
    return _masked(value, depth)


def _text(text: str) -> str:
    if _URL.match(text) is not None:
        text = _masked_url(text)
    text = text.encode("utf-8", "replace").decode()
    if len(text) <= MAX_TEXT_CHARS:
        return text
    digest = hashlib.sha256(text.encode()).hexdigest()
    return f"{text[:SHOWN_CHARS]}... ({len(text)} characters, SHA-256 {digest})"


def _masked_url(url: str) -> str:
    try:
        parts = urlsplit(url)
    except ValueError:
        return STARS
    netloc = parts.netloc
    if "@" in netloc:
        netloc = f"{STARS}@{netloc.rpartition('@')[2]}"
    query = parts.query
    if query:
        pairs = parse_qsl(query, keep_blank_values=True, max_num_fields=MAX_ENTRIES * 10)
        masked = [(name, STARS if _PARAMETER.search(name) else value) for name, value in pairs]
        query = urlencode(masked, safe="*") if masked != pairs else query
    return urlunsplit(parts._replace(netloc=netloc, query=query))
