"""Keeping Portico from writing, as another process does: the same for both databases."""

import contextlib
import sqlite3

import asyncpg

from portico.storage.postgresql import WRITE_LOCK


@contextlib.asynccontextmanager
async def writes_locked(url):
    """Hold the one lock that every writing transaction needs; readers go on."""
    if url.startswith("sqlite"):
        file = sqlite3.connect(url.removeprefix("sqlite:///"), isolation_level=None, timeout=10)
        file.execute("BEGIN EXCLUSIVE")
        try:
            yield
        finally:
            file.close()
        return
    conn = await asyncpg.connect(url, timeout=10)
    try:
        async with conn.transaction():
            await conn.execute("SELECT pg_advisory_xact_lock($1)", WRITE_LOCK)
            yield
    finally:
        await conn.close()
