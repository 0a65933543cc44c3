"""Signed heads: proof that a writer's chain had got so far, so that a cut tail is noticed.

The signature is an empty value sealed with the statement as associated data: it opens only with our keyring, for
this purpose and for exactly these words. Whoever changes the database without the keyring cannot make one.
"""

from typing import Final

from portico.crypto.keyring import Keyring
from portico.model.errors import SealError
from portico.storage.audit import AuditHeadRow

PURPOSE: Final = "audit-head"


def sign_head(keyring: Keyring, *, writer: str, sequence: int, line_hash: str, now: int, closed: bool) -> AuditHeadRow:
    """Return the signed statement that ``writer`` got as far as line ``sequence``."""
    statement = _statement(writer, sequence, line_hash, now, closed=closed)
    return AuditHeadRow(
        writer=writer,
        sequence=sequence,
        hash=line_hash,
        signed_at=now,
        signature=keyring.seal(PURPOSE, b"", aad=statement),
        closed=closed,
    )


def is_genuine(keyring: Keyring, head: AuditHeadRow) -> bool:
    """Say whether our keyring signed ``head`` as it stands; False also when its key was dropped from the ring."""
    statement = _statement(head.writer, head.sequence, head.hash, head.signed_at, closed=head.closed)
    try:
        return keyring.open(PURPOSE, head.signature, aad=statement) == b""
    except SealError:
        return False


def _statement(writer: str, sequence: int, line_hash: str, now: int, *, closed: bool) -> bytes:
    return f"{sequence}|{line_hash}|{now}|{int(closed)}|{writer}".encode()  # the free text stands last
