from portico.storage import counters, ended_sessions, replicas
from portico.storage.replicas import ReplicaRow


def row(name, seen):
    return ReplicaRow(id=name, url=f"http://{name}", started_at=1.0, seen_at=seen)


async def test_a_replica_is_known_until_it_leaves_or_was_not_seen_for_long(database):
    async with database.write() as conn:
        for name, seen in (("a", 10.0), ("b", 20.0), ("c", 30.0)):
            await replicas.put(conn, row(name, seen))
        await replicas.put(conn, row("a", 40.0))
        await replicas.prune(conn, 25.0)
        await replicas.delete(conn, "c")
    async with database.read() as conn:
        assert await replicas.list_all(conn) == [row("a", 40.0)]


async def test_whoever_goes_on_behind_the_last_ended_session_misses_none(database):
    async with database.write(shared=True) as conn:
        await ended_sessions.add(conn, "one", expires_at=100)
        await ended_sessions.add(conn, "two", expires_at=50)
        await ended_sessions.add(conn, "one", expires_at=100)  # said twice, remembered once
    async with database.read() as conn:
        found = await ended_sessions.list_after(conn, 0, now=10)
        assert [(ended.number, ended.sequence) for ended in found] == [("one", 1), ("two", 2)]
        assert (await counters.read_all(conn))[ended_sessions.SCOPE] == 3
        assert [ended.number for ended in await ended_sessions.list_after(conn, 0, now=60)] == ["one"]
    async with database.write() as conn:
        await ended_sessions.prune(conn, 60)
        await ended_sessions.add(conn, "three", expires_at=100)
    async with database.read() as conn:
        assert [ended.number for ended in await ended_sessions.list_after(conn, 2, now=10)] == ["three"]
