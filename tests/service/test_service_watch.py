import os
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from portico.crypto.keyring import Keyring, generate_line
from portico.model.errors import StorageUnavailable
from portico.service.keyring_file import read_keyring
from portico.service.settings import load_settings
from portico.service.watch import ConfigWatch


class Applied:
    def __init__(self):
        self.settings = []
        self.error = None

    async def __call__(self, settings):
        if self.error is not None:
            raise self.error
        self.settings.append(settings)


@pytest.fixture
def applied():
    return Applied()


def load(file):
    return load_settings(Path(file), environ={})


@pytest.fixture
def keyring():
    return Keyring({"memory": os.urandom(32)})


@pytest.fixture
def watch(write_config, applied, keyring):
    return ConfigWatch(load(write_config({})), keyring, load=load, apply=applied)


async def test_an_unchanged_or_merely_touched_file_is_not_applied(watch, applied, write_config):
    await watch.look()
    write_config({})
    await watch.look()
    assert applied.settings == []


async def test_an_edit_is_applied_once(watch, applied, write_config):
    write_config({"issuers": [{"name": "main"}]})
    await watch.look()
    await watch.look()
    assert [settings.issuers for settings in applied.settings] == [frozenset({"main"})]


async def test_a_broken_file_changes_nothing_and_logs_every_fault(watch, applied, write_config):
    write_config({"issuers": [{"name": "BAD NAME"}], "surprise": 1})
    with capture_logs() as logs:
        await watch.look()
        await watch.look()
    assert applied.settings == []
    assert {entry["path"] for entry in logs if entry["event"] == "config_fault"} == {"issuers[0].name", "surprise"}
    write_config({"issuers": [{"name": "good"}]})
    await watch.look()
    assert len(applied.settings) == 1


async def test_a_removed_file_changes_nothing(watch, applied, write_config):
    write_config({}).unlink()
    await watch.look()
    assert applied.settings == []


async def test_what_waits_for_storage_is_applied_when_it_is_back(watch, applied, write_config):
    applied.error = StorageUnavailable("away")
    write_config({"issuers": [{"name": "main"}]})
    await watch.look()
    applied.error = None
    await watch.look()
    await watch.look()
    assert len(applied.settings) == 1


async def test_sighup_applies_an_unchanged_file(watch, applied):
    watch.reload()
    await watch.look()
    assert len(applied.settings) == 1


async def test_keys_of_the_process_need_a_restart_and_the_log_says_which(watch, applied, write_config):
    write_config({"drain_seconds": 5, "log": {"level": "debug"}, "issuers": [{"name": "main"}]})
    with capture_logs() as logs:
        await watch.look()
    [entry] = [entry for entry in logs if entry["event"] == "config_needs_restart"]
    assert set(entry["settings"]) == {"drain_seconds", "log_level"}
    assert len(applied.settings) == 1


async def test_another_public_url_waits_for_a_restart_with_all_that_was_written_for_it(watch, applied, write_config):
    write_config({"public_url": "https://elsewhere.example", "issuers": [{"name": "main"}]})
    with capture_logs() as logs:
        await watch.look()
    assert [entry["path"] for entry in logs if entry["event"] == "config_fault"] == ["public_url"]
    assert applied.settings == []


@pytest.mark.case("H05")
async def test_a_changed_keyring_is_adopted_and_everything_is_applied_under_it(
    watch, applied, write_keyring, keyring, tmp_path
):
    former = (tmp_path / "data" / "keyring").read_text().strip()
    file = write_keyring(line=f"{generate_line('new')}\n{former}")
    await watch.look()
    assert keyring.kids == ("new", "k1")
    assert len(applied.settings) == 1
    sealed = keyring.seal("test", b"x")
    assert read_keyring(file).open("test", sealed) == b"x"


async def test_a_broken_keyring_leaves_the_old_one(watch, applied, write_keyring, keyring):
    write_keyring(line="nonsense")
    await watch.look()
    assert keyring.kids == ("memory",)
    assert applied.settings == []
