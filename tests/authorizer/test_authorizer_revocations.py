import pytest

from portico.authorizer.revocations import Revocations
from portico.storage import revocations
from portico.storage.revocations import RevocationRow

ISSUER = "https://gw.example/i/main"
CLAIMS = {"sub": "alice", "client_id": "c1", "grant_id": "g1", "iat": 1000}


async def revoke(database, kind, key, *, issuer=ISSUER, not_before=1000, expires_at=2_000_000_000):
    row = RevocationRow(kind=kind, issuer=issuer, key=key, not_before=not_before, expires_at=expires_at)
    async with database.write() as conn:
        await revocations.add(conn, row)


@pytest.fixture
async def loaded(database, clock):
    made = Revocations(database, clock=clock)
    await made.reload()
    return made


@pytest.mark.parametrize(("kind", "key"), [("grant", "g1"), ("client", "c1"), ("subject", "alice")])
async def test_each_kind_kills_what_was_issued_until_then(database, loaded, kind, key):
    assert not loaded.refuses(ISSUER, CLAIMS)
    await revoke(database, kind, key)
    await loaded.reload()
    assert loaded.revoked_by(ISSUER, CLAIMS) == kind
    assert loaded.refuses(ISSUER, {**CLAIMS, "iat": 999})
    assert not loaded.refuses(ISSUER, {**CLAIMS, "iat": 1001})
    assert not loaded.refuses("https://gw.example/i/other", CLAIMS)


async def test_a_revocation_of_one_kind_does_not_touch_another(database, loaded):
    await revoke(database, "grant", "alice")
    await revoke(database, "subject", "c1")
    await loaded.reload()
    assert not loaded.refuses(ISSUER, CLAIMS)


async def test_of_several_the_latest_counts(database, loaded):
    for not_before in (900, 1100, 1000):
        await revoke(database, "client", "c1", not_before=not_before)
    await loaded.reload()
    assert loaded.refuses(ISSUER, {**CLAIMS, "iat": 1100})
    assert not loaded.refuses(ISSUER, {**CLAIMS, "iat": 1101})


async def test_a_token_without_a_time_of_issue_counts_as_old(database, loaded):
    await revoke(database, "subject", "alice")
    await loaded.reload()
    assert loaded.refuses(ISSUER, {"sub": "alice"})


async def test_revocations_that_concern_no_living_token_are_not_kept(database, loaded, clock):
    await revoke(database, "subject", "alice", expires_at=int(clock.now) - 1)
    await loaded.reload()
    assert not loaded.refuses(ISSUER, CLAIMS)


async def test_claims_of_odd_types_are_looked_up_without_an_error(database, loaded):
    await revoke(database, "subject", "alice")
    await loaded.reload()
    assert not loaded.refuses(ISSUER, {"sub": ["alice"], "client_id": {}, "grant_id": None})
