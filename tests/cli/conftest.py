"""A place with a configuration, a keyring and a database, and commands run in it without a process of their own."""

import asyncio
import json
import os
import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

from cli.everything import EVERYTHING
from portico.cli.main import run
from portico.service.keyring_file import read_keyring
from portico.service.preparation import prepared
from portico.service.settings import load_settings
from portico.storage.engine import Database

MACHINE_SECRET = "portico_0123456789abcdef0123456789abcdef"
PASSWORD = "correct horse"
DOCUMENT = {
    "issuers": [
        {
            "name": "main",
            "scopes": ["mcp/invoke", "mcp/read"],
            "allowedRedirectUris": ["https://app.example/callback", "com.example.app:/callback"],
            "users": [{"name": "ada", "displayName": "Ada", "password": PASSWORD}],
            "clients": [{"name": "robot", "secret": MACHINE_SECRET, "scopes": ["mcp/invoke"]}],
        }
    ]
}


@dataclass
class Done:
    """What a command left behind."""

    code: int
    out: str
    err: str


@dataclass
class Place:
    """A directory with a portico.yaml."""

    directory: Path
    machine_secret: str = MACHINE_SECRET

    @property
    def config(self):
        return self.directory / "portico.yaml"

    @property
    def keyring(self):
        return self.directory / "data" / "keyring"

    def write(self, document):
        self.config.write_text(yaml.safe_dump(document))

    def run(self, *args, stdin="", **env):
        """Run a command as `portico` would, with its own streams."""
        variables = {"PORTICO_CONFIG": str(self.config), **env}
        with CliRunner().isolation(input=stdin, env=variables) as (out, err, _):
            code = run([str(arg) for arg in args])
            return Done(code, out.getvalue().decode(), err.getvalue().decode())

    def succeed(self, *args, **more):
        done = self.run(*args, **more)
        assert done.code == 0, done
        return done.out

    def json(self, *args, **more):
        return json.loads(self.succeed(*args, "--json", **more))

    def fail(self, *args, **more):
        """Run a command that fails as failures should look: nothing on stdout, one line on stderr."""
        done = self.run(*args, **more)
        assert (done.code, done.out) == (1, ""), done
        [line] = done.err.strip().splitlines()
        assert line.startswith("portico: ")
        return line.removeprefix("portico: ")

    def apply(self):
        """Do to the database what `portico serve` does when it starts."""

        async def start():
            settings = load_settings(self.config, environ={})
            async with prepared(settings, read_keyring(settings.keyring_file)):
                pass

        asyncio.run(start())

    def write_rows(self, work):
        """Run ``work(conn)`` in a transaction, for rows that no command makes."""

        async def change():
            database = await Database.open(load_settings(self.config, environ={}).database)
            try:
                async with database.write() as conn:
                    return await work(conn)
            finally:
                await database.aclose()

        return asyncio.run(change())


def declare(place, document, name="all.yaml"):
    (place.directory / name).write_text(yaml.safe_dump(document, sort_keys=False))
    return place.directory / name


@pytest.fixture(autouse=True)
def _no_settings_of_another_portico(monkeypatch):
    for name in [name for name in os.environ if name.startswith("PORTICO_")]:
        monkeypatch.delenv(name)


@pytest.fixture
def bare(tmp_path):
    """A configuration and nothing else."""
    place = Place(tmp_path)
    place.write(DOCUMENT)
    return place


@pytest.fixture(scope="session")
def _template(tmp_path_factory):
    place = Place(tmp_path_factory.mktemp("cli") / "place")
    place.directory.mkdir()
    place.write(DOCUMENT)
    place.succeed("keyring", "init", place.keyring)
    place.apply()
    return place


@pytest.fixture
def place(tmp_path, _template):
    """A configuration that was served once, so that its database holds what it declares."""
    copied = Place(tmp_path / "place")
    shutil.copytree(_template.directory, copied.directory)
    return copied


@pytest.fixture
def make(tmp_path, _empty):
    """Make another server that declares nothing in its own file."""

    def make(name):
        copied = Place(tmp_path / name)
        shutil.copytree(_empty.directory, copied.directory)
        return copied

    return make


@pytest.fixture(scope="session")
def _empty(tmp_path_factory):
    place = Place(tmp_path_factory.mktemp("cli-empty") / "place")
    place.directory.mkdir()
    place.write({"public_url": "https://portico.example"})
    place.succeed("keyring", "init", place.keyring)
    place.succeed("migrate")
    return place


@pytest.fixture
def one(make):
    """A server that holds everything."""
    place = make("one")
    declare(place, EVERYTHING)
    (place.directory / "okta").write_text("a secret of okta\n")
    (place.directory / "key").write_text("a key from a file")
    place.succeed("apply", place.directory / "all.yaml")
    return place
