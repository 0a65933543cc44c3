"""Use cases on the signing keys of our issuers.

An issuer has a *next* key, published so that verifiers know it before it signs, a *current* one that signs, and
*previous* ones that still verify. Rotation moves each one on; dropping is for emergencies and ends at once what the
key had signed (D20).
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import structlog
from sqlalchemy.ext.asyncio import AsyncConnection

from portico.control.arns import own_arn
from portico.control.changes import BY_PROCESS
from portico.control.issuers import require_issuer
from portico.control.operations.context import Changes
from portico.crypto.keyring import Keyring
from portico.crypto.signing import SigningKey
from portico.model.errors import NotFound, SealError
from portico.oauth.issuer_settings import MAX_ACCESS_TOKEN_SECONDS
from portico.storage import counters, signing_keys
from portico.storage.engine import Database
from portico.storage.signing_keys import KeyState, SigningKeyRow

SEALING_PURPOSE = "signing-key"

_log = structlog.stdlib.get_logger("portico.control")

MakeKey = Callable[[], SigningKey]


@dataclass(frozen=True, slots=True, kw_only=True)
class KeySummary:
    """What is told of a signing key. Times are seconds since the epoch."""

    issuer: str
    kid: str
    state: KeyState
    created_at: int
    changed_at: int


async def list_all(database: Database, *, issuer: str | None = None) -> list[KeySummary]:
    """Return every signing key, or those of one issuer, oldest first."""
    async with database.read() as conn:
        return [_summary(row) for row in await signing_keys.list_all(conn, issuer=issuer)]


async def rotate(
    database: Database,
    keyring: Keyring,
    *,
    issuer: str,
    now: int,
    make: MakeKey = SigningKey.generate,
    changes: Changes = BY_PROCESS,
) -> list[KeySummary]:
    """Let the next key sign; former ones stay until nothing that they signed can be alive.

    Raises:
        NotFound: there is no such issuer.
    """
    async with database.write(patient=True) as conn:
        await require_issuer(conn, issuer)
        before = await _shown(conn, issuer)
        for row in await signing_keys.list_all(conn, issuer=issuer):
            if row.state != "previous":
                await signing_keys.set_state(conn, row.kid, "current" if row.state == "next" else "previous", now)
            elif row.changed_at + MAX_ACCESS_TOKEN_SECONDS < now:
                await signing_keys.drop(conn, row.kid)
        await ensure(conn, keyring, issuer=issuer, now=now, make=make)
        await counters.bump(conn, f"issuer/{issuer}")
        await changes.record(conn, "RotateSigningKeys", own_arn("issuer", issuer), before, await _shown(conn, issuer))
        return [_summary(row) for row in await signing_keys.list_all(conn, issuer=issuer)]


async def drop(
    database: Database,
    keyring: Keyring,
    *,
    kid: str,
    now: int,
    make: MakeKey = SigningKey.generate,
    changes: Changes = BY_PROCESS,
) -> None:
    """Delete a key for good: every token that it signed is refused at the next poll.

    Raises:
        NotFound: there is no such key.
    """
    async with database.write() as conn:
        row = next((row for row in await signing_keys.list_all(conn) if row.kid == kid), None)
        if row is None:
            raise NotFound(f"There is no signing key {kid!r}.")
        before = await _shown(conn, row.issuer)
        await signing_keys.drop(conn, kid)
        await ensure(conn, keyring, issuer=row.issuer, now=now, make=make)
        await counters.bump(conn, f"issuer/{row.issuer}")
        after = await _shown(conn, row.issuer)
        await changes.record(conn, "DropSigningKey", own_arn("issuer", row.issuer), before, after)


# Steps that run in the caller's transaction.


async def ensure(
    conn: AsyncConnection, keyring: Keyring, *, issuer: str, now: int, make: MakeKey = SigningKey.generate
) -> bool:
    """Make sure that the issuer has a current and a next key that we can open; says whether something was made.

    A next key steps in for a missing current one: verifiers may have it already.
    """
    states: dict[KeyState, str] = {}
    for row in await signing_keys.list_all(conn, issuer=issuer):
        if await _reseal(conn, keyring, row):
            states[row.state] = row.kid
    made = False
    if "current" not in states:
        kid = states.pop("next", None) or await _add(conn, keyring, issuer=issuer, now=now, make=make)
        await signing_keys.set_state(conn, kid, "current", now)
        made = True
    if "next" not in states:
        await _add(conn, keyring, issuer=issuer, now=now, make=make)
        made = True
    return made


async def _reseal(conn: AsyncConnection, keyring: Keyring, row: SigningKeyRow) -> bool:
    """Bring a key under the newest sealing key, so that the older ones can be retired; False when it is lost.

    A lost key (its sealing key was dropped) cannot sign any more. It is dropped too: what cannot be replaced by
    rotation should not stay valid.
    """
    aad = f"{row.issuer}|{row.kid}".encode()
    try:
        private = keyring.open(SEALING_PURPOSE, row.sealed, aad=aad)
    except SealError:
        _log.warning("signing_key_lost", issuer=row.issuer, kid=row.kid, state=row.state)
        await signing_keys.drop(conn, row.kid)
        return False
    if not row.sealed.startswith(f"v1.{keyring.kids[0]}."):
        await signing_keys.set_sealed(conn, row.kid, keyring.seal(SEALING_PURPOSE, private, aad=aad))
    return True


async def _add(conn: AsyncConnection, keyring: Keyring, *, issuer: str, now: int, make: MakeKey) -> str:
    key = make()
    row = SigningKeyRow(
        issuer=issuer,
        kid=key.kid,
        sealed=keyring.seal(SEALING_PURPOSE, key.private_json(), aad=f"{issuer}|{key.kid}".encode()),
        public_jwk=key.public_jwk(),
        state="next",
        created_at=now,
        changed_at=now,
    )
    await signing_keys.add(conn, row)
    return key.kid


async def _shown(conn: AsyncConnection, issuer: str) -> dict[str, Any]:
    """Return what the audit trail shows of an issuer's signing keys."""
    return {"keys": [asdict(_summary(row)) for row in await signing_keys.list_all(conn, issuer=issuer)]}


def _summary(row: SigningKeyRow) -> KeySummary:
    return KeySummary(
        issuer=row.issuer, kid=row.kid, state=row.state, created_at=row.created_at, changed_at=row.changed_at
    )
