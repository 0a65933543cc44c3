"""While the database is away: what is in memory goes on, the rest says 503 and when to come back."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from issuer_world import MACHINE_SECRET, Browser, World

from portico.model.errors import StorageUnavailable

pytestmark = pytest.mark.usefixtures("gives_up_on_locks")


@contextmanager
def locked(path: Path, *, reads: bool = False) -> Iterator[None]:
    """Lock the database as another process may: against writes, or against everybody who is not there yet."""
    other = sqlite3.connect(path, isolation_level=None)
    try:
        if reads:
            other.execute("PRAGMA locking_mode=EXCLUSIVE")
        other.execute("BEGIN EXCLUSIVE")
        yield
    finally:
        other.close()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "portico.db"


async def test_writes_answer_503_with_retry_after_and_nothing_is_lost(world: World, client_id: str, file: Path):
    browser = Browser(world)
    page = await browser.log_in(await browser.open(world.request(client_id)))
    code = await world.code(client_id)
    with locked(file):
        token = await world.redeem(client_id, code)
        assert (token.status_code, token.json()["error"]) == (503, "temporarily_unavailable")
        assert int(token.headers["retry-after"]) > 0
        assert token.headers["cache-control"] == "no-store"
        consent = await browser.submit(page, decision="allow")
        assert consent.status_code == 503
        assert int(consent.headers["retry-after"]) > 0
        assert "text/html" in consent.headers["content-type"]
        assert "Nothing was lost" in consent.text
    assert (await world.redeem(client_id, code)).status_code == 200
    assert (await browser.submit(page, decision="allow")).status_code == 303


async def test_metadata_keys_and_registration_go_on_and_the_rest_says_when_to_come_back(
    world: World, client_id: str, file: Path
):
    await world.add_machine()
    await world.database.aclose()
    with locked(file, reads=True):
        async with world.http() as http:
            assert (await http.get("/.well-known/oauth-authorization-server/i/main")).status_code == 200
            assert (await http.get("/i/main/jwks")).status_code == 200
        assert await world.register()
        machine = await world.token(auth=("robot", MACHINE_SECRET), grant_type="client_credentials")
        assert (machine.status_code, machine.json()["error"]) == (503, "temporarily_unavailable")
        page = await Browser(world).open(world.request(client_id))
        assert page.status_code == 503
        assert int(page.headers["retry-after"]) > 0
    assert (await Browser(world).open(world.request(client_id))).status_code == 200


async def test_a_machine_needs_only_to_be_read(world: World, file: Path):
    await world.add_machine()
    with locked(file):
        response = await world.token(auth=("robot", MACHINE_SECRET), grant_type="client_credentials")
    assert response.status_code == 200


def spoil(directory: Path) -> None:
    for path in directory.iterdir():
        path.unlink()
    (directory / "portico.db").write_bytes(b"not a database" * 100)


async def test_what_was_loaded_stays_when_a_reload_fails(world: World, tmp_path: Path):
    await world.database.aclose()
    spoil(tmp_path)
    with pytest.raises(StorageUnavailable):
        await world.app.reload("main")
    async with world.http() as http:
        assert (await http.get("/i/main/jwks")).status_code == 200


@pytest.mark.case("E14")
async def test_without_a_signing_key_nothing_is_issued_and_nothing_used_up(world: World, client_id: str):
    from portico.storage import signing_keys

    await world.add_machine()
    code = await world.code(client_id)
    async with world.database.write() as conn:
        [row] = await signing_keys.list_all(conn, issuer="main")
        await signing_keys.drop(conn, row.kid)
    await world.app.reload("main")
    for response in (
        await world.redeem(client_id, code),
        await world.token(auth=("robot", MACHINE_SECRET), grant_type="client_credentials"),
    ):
        assert (response.status_code, response.json()["error"]) == (503, "temporarily_unavailable")
        assert int(response.headers["retry-after"]) > 0
    page = await Browser(world).open(world.request(client_id))
    assert page.status_code == 503
    await world.add_key()
    assert (await world.redeem(client_id, code)).status_code == 200


@pytest.mark.case("E14")
async def test_a_signing_key_whose_sealing_key_is_gone_signs_nothing(world: World, client_id: str):
    from portico.storage import signing_keys

    async with world.database.write() as conn:
        [row] = await signing_keys.list_all(conn, issuer="main")
        await signing_keys.drop(conn, row.kid)
        broken = {name: getattr(row, name) for name in row.__slots__} | {"sealed": row.sealed[:-4] + "AAAA"}
        await signing_keys.add(conn, type(row)(**broken))
    await world.app.reload("main")
    assert (await Browser(world).open(world.request(client_id))).status_code == 503
