"""A real PostgreSQL of the tests' own: one server per test process, one fresh database per test.

It listens on loopback alone, keeps nothing that a power cut would have to spare, ends with the process that started
it, and leaves any other PostgreSQL of the machine alone.
"""

import asyncio
import ctypes
import os
import pwd
import secrets
import shutil
import signal
import subprocess
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import asyncpg
import pytest

from portico.storage.migrate import migrate
from support.ports import free_port

START_SECONDS = 60.0
STOP_SECONDS = 30.0
USER = "portico"
PASSWORD = "canary-p@ss/word"  #: as it stands in a URL: see :data:`QUOTED_PASSWORD`
QUOTED_PASSWORD = "canary-p%40ss%2Fword"
TEMPLATE = "portico_template"
PR_SET_PDEATHSIG = 1

SETTINGS = {
    "fsync": "off",
    "full_page_writes": "off",
    "shared_buffers": "32MB",
    "max_connections": "200",
    "listen_addresses": "127.0.0.1",
    "log_destination": "stderr",
}


def programs():
    """Return the directory of the newest server programs."""
    debian = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    if debian:
        return debian[-1].parent
    found = shutil.which("initdb")
    assert found, "PostgreSQL's server programs are missing (Debian: apt install postgresql)"
    return Path(found).resolve().parent


def sorts_by_language():
    """Say whether a server can sort as a language does without locales of the system (PostgreSQL 15 and later)."""
    words = subprocess.run([programs() / "postgres", "--version"], check=True, capture_output=True, text=True).stdout
    return int(words.split()[2].split(".")[0].removesuffix("devel")) >= 15


def ordinary_user():
    """Return whom the server runs as: it refuses root."""
    if os.getuid() != 0:
        return None
    names = {entry.pw_name for entry in pwd.getpwall()}
    return next(name for name in ("postgres", "nobody") if name in names)


def _dies_with_us():
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGQUIT)


@dataclass
class PostgresServer:
    """One server over one data directory; it may be stopped and started again."""

    directory: Path
    port: int = field(default_factory=free_port)
    process: subprocess.Popen | None = None

    def initialize(self):
        as_user = {"user": user, "extra_groups": []} if (user := ordinary_user()) else {}
        if as_user:
            shutil.chown(self.directory, as_user["user"])
        secret = self.directory / "password"
        secret.write_text(PASSWORD)
        secret.chmod(0o644)  # in a directory that is closed to others
        subprocess.run(
            [
                programs() / "initdb",
                *("--pgdata", self.directory / "data", "--username", USER, "--pwfile", secret),
                *("--encoding", "UTF8", "--locale", "C.UTF-8"),
                # As on most servers, not by bytes: what depends on the order must not go unnoticed.
                *(("--locale-provider", "icu", "--icu-locale", "en") if sorts_by_language() else ()),
                *("--auth", "scram-sha-256", "--no-sync", "--no-instructions"),
            ],
            check=True,
            capture_output=True,
            cwd=self.directory,
            **as_user,
        )

    def start(self):
        as_user = {"user": user, "extra_groups": []} if (user := ordinary_user()) else {}
        settings = SETTINGS | {"port": self.port, "unix_socket_directories": self.directory}
        with (self.directory / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [
                    programs() / "postgres",
                    *("-D", self.directory / "data"),
                    *(part for name, value in settings.items() for part in ("-c", f"{name}={value}")),
                ],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.directory,
                preexec_fn=_dies_with_us,  # noqa: PLW1509 - one C call, before any thread could matter
                start_new_session=True,
                **as_user,
            )
        deadline = time.monotonic() + START_SECONDS
        while not self._ready():
            assert self.process.poll() is None, (self.directory / "log").read_text()
            assert time.monotonic() < deadline, "PostgreSQL does not start"
            time.sleep(0.02)

    def stop(self, how=signal.SIGQUIT):
        """End it; SIGQUIT as a crash does, SIGINT in order but without waiting for anybody."""
        if self.process is None:
            return
        self.process.send_signal(how)
        self.process.wait(STOP_SECONDS)
        self.process = None

    @contextmanager
    def frozen(self):
        """Let it take packets and answer nothing, as after a cut cable."""
        parent = self.process.pid
        children = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
        group = [parent, *map(int, children)]
        for pid in group:
            os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            for pid in group:
                os.kill(pid, signal.SIGCONT)

    @contextmanager
    def crashed(self):
        """Let it be away as after a crash, and recover."""
        self.stop(signal.SIGQUIT)
        try:
            yield
        finally:
            self.start()

    def _ready(self):
        try:
            lines = (self.directory / "data" / "postmaster.pid").read_text().split("\n")
        except OSError:
            return False
        return len(lines) > 7 and lines[0] == str(self.process.pid) and lines[7].strip() == "ready"

    def url(self, database):
        return f"postgresql://{USER}:{QUOTED_PASSWORD}@127.0.0.1:{self.port}/{database}"

    async def connect(self, database="postgres", **more):
        """Return a connection that is none of Portico's."""
        return await asyncpg.connect(
            host="127.0.0.1", port=self.port, user=USER, password=PASSWORD, database=database, timeout=10, **more
        )

    async def run(self, statement):
        """Run one statement outside of any transaction."""
        conn = await self.connect()
        try:
            await conn.execute(statement)
        finally:
            await conn.close()

    async def speak_tls(self, file):
        """Serve TLS too, with the certificate and the key of ``file``."""
        installed = self.directory / "server.pem"
        shutil.copy(file, installed)
        if user := ordinary_user():
            shutil.chown(installed, user)
        installed.chmod(0o600)
        for setting in (f"ssl_cert_file = '{installed}'", f"ssl_key_file = '{installed}'", "ssl = on"):
            await self.run(f"ALTER SYSTEM SET {setting}")
        await self.run("SELECT pg_reload_conf()")

    async def create(self, *, migrated):
        """Make a database and return its name."""
        name = f"t_{secrets.token_hex(8)}"
        await self.run(f"CREATE DATABASE {name} TEMPLATE {TEMPLATE if migrated else 'template0'}")
        return name

    async def drop(self, name):
        await self.run(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")


@contextmanager
def running_server():
    """A server with a template of a migrated database."""
    directory = Path(tempfile.mkdtemp(prefix="portico-postgres-"))
    server = PostgresServer(directory)
    try:
        server.initialize()
        server.start()
        with ThreadPoolExecutor(1) as thread:  # a loop of its own, whatever the tests' loop is doing
            thread.submit(asyncio.run, _make_template(server)).result()
        yield server
    finally:
        server.stop()
        shutil.rmtree(directory)


async def _make_template(server):
    await server.run(f"CREATE DATABASE {TEMPLATE} TEMPLATE template0")
    await migrate(server.url(TEMPLATE))


@pytest.fixture(scope="session")
def postgres():
    """The server of this test process."""
    with running_server() as server:
        yield server


@pytest.fixture
async def postgres_url(postgres):
    """A database with the newest schema and nothing in it."""
    name = await postgres.create(migrated=True)
    yield postgres.url(name)
    await postgres.drop(name)


@pytest.fixture
async def empty_postgres_url(postgres):
    """A database without any table."""
    name = await postgres.create(migrated=False)
    yield postgres.url(name)
    await postgres.drop(name)
