"""The databases of tests: a fresh one for each, copied from a template that is migrated once per test process."""

import asyncio
import shutil
from concurrent.futures import ThreadPoolExecutor

import pytest

from portico.storage.migrate import migrate


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory):
    """A migrated file with nothing in it."""
    file = tmp_path_factory.mktemp("template") / "portico.db"
    with ThreadPoolExecutor(1) as thread:  # a loop of its own, whatever the tests' loop is doing
        thread.submit(asyncio.run, migrate(f"sqlite:///{file}")).result()
    return file


@pytest.fixture
def sqlite_url(sqlite_template, tmp_path):
    """A file with the newest schema and nothing in it."""
    shutil.copy(sqlite_template, tmp_path / "portico.db")
    return f"sqlite:///{tmp_path / 'portico.db'}"


@pytest.fixture(params=["sqlite", "postgresql"])
def database_kind(request):
    """Ask for it, and a test runs on both databases."""
    return request.param


@pytest.fixture
def database_url(database_kind, request):
    """A database of the kind that the test asks for, with the newest schema and nothing in it."""
    return request.getfixturevalue("sqlite_url" if database_kind == "sqlite" else "postgres_url")
