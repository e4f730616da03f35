"""The PostgreSQL storage on a real server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from datetime import datetime
from typing import Any

import psycopg
import pytest

from devstack.servers.folders import temporary_folder
from devstack.servers.postgres import Postgres
from lib import vcon_egress_compat
from lib.vcon_redis import AsyncVconRedis
from pipeline.runs.vcon_store import VconStore
from storage import postgres
from storage.postgres.pools import TABLE_LOCK
from storage.postgres.table import statements
from tests.integration.support.postgres_scene import as_options, as_settings
from tests.plugins.scene import SAMPLES, TAGGED, canonical, connected

VCON = canonical(TAGGED)
UUID = VCON["uuid"]
CEILING_SECONDS = 60
MISSING = "00000000-0000-8000-8000-000000000000"
LAYOUT = """
    SELECT column_name, data_type, is_nullable FROM information_schema.columns
    WHERE table_name = %s ORDER BY ordinal_position"""
BLOCKED = "SELECT 1 FROM pg_locks WHERE NOT granted"
CONNECTIONS = "SELECT count(*) FROM pg_stat_activity WHERE datname = %s AND application_name = %s"


@pytest.fixture(autouse=True)
async def store(redis_url: str) -> AsyncIterator[VconStore]:
    """A store with one vCon behind the connection that plugins find."""
    async with connected(redis_url) as store:
        await store.put(VCON)
        yield store


@pytest.fixture
async def options(postgres_server: Postgres, empty_database: str) -> AsyncIterator[dict[str, Any]]:
    """Options of a storage in a database without tables."""
    yield as_options(postgres_server, empty_database)
    await postgres.close()  # before the database is dropped, which waits for connections


@pytest.fixture
def database(options: dict[str, Any]) -> Iterator[psycopg.Connection[Any]]:
    """A separate connection for the test."""
    with psycopg.connect(**as_settings(options), autocommit=True) as connection:
        yield connection


def rows(database: psycopg.Connection[Any], table: str = "vcons") -> list[tuple[Any, ...]]:
    """All columns of all rows."""
    return database.execute(f"SELECT * FROM {table} ORDER BY id").fetchall()


def connections(database: psycopg.Connection[Any], options: dict[str, Any]) -> int:
    """How many the storage has to its database."""
    found = database.execute(CONNECTIONS, [options["database"], "patchcord"]).fetchone()
    assert found is not None
    return int(found[0])


async def test_every_sample_comes_back_equal(store: VconStore, options: dict[str, Any]) -> None:
    """To what normalisation made of it."""
    documents = [canonical(path.stem) for path in SAMPLES.glob("*.json")]
    for document in documents:
        await store.put(document)
    await asyncio.gather(*(postgres.save(document["uuid"], options) for document in documents))
    for document in documents:
        assert await postgres.get(document["uuid"], options) == document


async def test_old_readers_of_the_table_get_the_old_form(
    store: VconStore,
    options: dict[str, Any],
    database: psycopg.Connection[Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """With EGRESS_FORMAT_VERSION=0.0.1 the row has that version and that document."""
    monkeypatch.setattr(vcon_egress_compat, "_version", "0.0.1")
    document = canonical("tags-as-list-0.0.1")
    await store.put(document)
    await postgres.save(document["uuid"], options)
    [(_, version, *_, written)] = rows(database)
    assert version == "0.0.1"
    assert written == vcon_egress_compat.to_legacy(document, "0.0.1") != document


async def test_the_table_is_laid_out_as_vcon_servers(
    options: dict[str, Any], database: psycopg.Connection[Any]
) -> None:
    """The same columns in the same order, types and all, and no index but the key's."""
    await postgres.save(UUID, options)
    assert database.execute(LAYOUT, ["vcons"]).fetchall() == [
        ("id", "uuid", "NO"),
        ("vcon", "text", "NO"),
        ("uuid", "uuid", "NO"),
        ("created_at", "timestamp without time zone", "NO"),
        ("updated_at", "timestamp without time zone", "YES"),
        ("subject", "text", "YES"),
        ("vcon_json", "jsonb", "YES"),
    ]
    indexes = "SELECT count(*) FROM pg_indexes WHERE tablename = 'vcons'"
    assert database.execute(indexes).fetchone() == (1,)


async def test_a_row_holds_what_its_columns_say(
    options: dict[str, Any], database: psycopg.Connection[Any]
) -> None:
    """Times in UTC."""
    await AsyncVconRedis().store_vcon_dict({**VCON, "subject": "Bike"})
    await postgres.save(UUID, options)
    [(id_, version, uuid, created_at, updated_at, subject, document)] = rows(database)
    assert str(id_) == str(uuid) == UUID
    assert version == "0.4.0"
    assert created_at == datetime(2023, 4, 3, 14, 20, 11, 402000)  # noqa: DTZ001 -- as the column is
    assert updated_at > created_at
    assert subject == "Bike"
    assert document == {**VCON, "subject": "Bike"}


async def test_saving_again_replaces_the_row(
    options: dict[str, Any], database: psycopg.Connection[Any]
) -> None:
    """All columns, so that the row is as if saved once."""
    await postgres.save(UUID, options)
    [before] = rows(database)
    changed = {**VCON, "subject": "changed", "created_at": "2024-01-01T00:00:00Z"}
    await AsyncVconRedis().store_vcon_dict(changed)
    await postgres.save(UUID, options)
    [after] = rows(database)
    assert after[3] == datetime(2024, 1, 1)  # noqa: DTZ001 -- as the column is
    assert after[4] > before[4]
    assert after[5:] == ("changed", changed)


@pytest.mark.parametrize("date", ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00"])
async def test_a_vcon_that_moves_to_the_edge_of_the_calendar(
    store: VconStore, options: dict[str, Any], date: str
) -> None:
    """It is saved, read as it was, and nothing is left of it after a delete."""
    moved = {**VCON, "created_at": date}
    await store.put(moved)
    await postgres.save(UUID, options)
    assert await postgres.get(UUID, options) == moved
    assert await postgres.delete(UUID, options)
    assert await postgres.get(UUID, options) is None


async def test_a_nul_character_does_not_keep_a_vcon_from_being_stored(
    options: dict[str, Any],
) -> None:
    """PostgreSQL refuses it in text and in JSON; a link may still have left one."""
    await AsyncVconRedis().store_vcon_dict({**VCON, "subject": "a\0b\\u0000", "x\0": ["\0"]})
    await postgres.save(UUID, options)
    kept = {**VCON, "subject": "a\ufffdb\\u0000", "x\ufffd": ["\ufffd"]}
    assert await postgres.get(UUID, options) == kept


async def test_delete_says_whether_there_was_a_row(options: dict[str, Any]) -> None:
    """And afterwards there is none."""
    await postgres.save(UUID, options)
    assert await postgres.delete(UUID, options) is True
    assert await postgres.delete(UUID, options) is False
    assert await postgres.get(UUID, options) is None


async def test_a_vcon_that_is_not_in_redis_is_an_error(options: dict[str, Any]) -> None:
    """A chain must not believe that it was kept."""
    with pytest.raises(LookupError, match=MISSING):
        await postgres.save(MISSING, options)


async def test_many_saves_at_once_share_few_connections(
    options: dict[str, Any], database: psycopg.Connection[Any]
) -> None:
    """No more than `pool_size`, and they are kept for the next."""
    options["pool_size"] = 3
    uuids = [f"00000000-0000-8000-8000-{number:012}" for number in range(60)]
    for uuid in uuids:
        await AsyncVconRedis().store_vcon_dict({**VCON, "uuid": uuid})
    await asyncio.gather(*(postgres.save(uuid, options) for uuid in uuids))
    assert len(rows(database)) == 60
    assert 1 <= connections(database, options) <= 3


async def test_close_lets_go_of_the_connections_and_saving_goes_on_after_it(
    options: dict[str, Any], database: psycopg.Connection[Any]
) -> None:
    """A new pool is made when one is wanted again."""
    await postgres.save(UUID, options)
    await postgres.close()
    async with asyncio.timeout(CEILING_SECONDS):
        while connections(database, options) > 0:  # noqa: ASYNC110 -- the server's event
            await asyncio.sleep(0.01)
    await postgres.save(UUID, options)
    assert connections(database, options) > 0


async def test_other_options_have_another_pool_and_table(
    options: dict[str, Any], database: psycopg.Connection[Any]
) -> None:
    """A table in a schema of its own, for instance."""
    database.execute("CREATE SCHEMA archive")
    await postgres.save(UUID, options)
    await postgres.save(UUID, options | {"table_name": "archive.Vcons"})
    assert len(rows(database)) == 1
    assert len(rows(database, 'archive."Vcons"')) == 1


async def test_a_table_that_is_there_is_used_without_the_right_to_make_one(
    options: dict[str, Any], database: psycopg.Connection[Any]
) -> None:
    """Usual for a database with another owner."""
    await postgres.save(UUID, options)
    database.execute("DROP ROLE IF EXISTS plugin_of_test")
    database.execute("CREATE ROLE plugin_of_test LOGIN PASSWORD 'x'")
    database.execute("GRANT SELECT, INSERT, UPDATE ON vcons TO plugin_of_test")
    try:
        await postgres.save(UUID, options | {"user": "plugin_of_test", "password": "x"})
        await postgres.close()
    finally:
        database.execute("DROP OWNED BY plugin_of_test")
        database.execute("DROP ROLE plugin_of_test")


async def test_a_wrong_password_is_said_at_once(options: dict[str, Any]) -> None:
    """In the server's own words, rather than as a time-out of the pool."""
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        await postgres.save(UUID, options | {"password": "wrong"})


async def test_what_keeps_a_pool_from_being_made_is_not_remembered(
    postgres_server: Postgres, options: dict[str, Any]
) -> None:
    """The next save tries again, with the same options, and finds that it is mended."""
    later = options | {"database": f"{options['database']}_later"}
    with pytest.raises(psycopg.OperationalError, match="does not exist"):
        await postgres.save(UUID, later)
    postgres_server.create_database(later["database"])
    try:
        await postgres.save(UUID, later)
        assert await postgres.get(UUID, later) == VCON
        await postgres.close()
    finally:
        postgres_server.drop_database(later["database"])


async def test_after_a_restart_of_the_server_one_attempt_fails_and_the_next_does_not() -> None:
    """After one dead connection the pool checks all others."""
    with temporary_folder() as folder:
        server = Postgres.start(folder, fsync=False)
        opts = as_options(server, "postgres") | {"pool_size": 4}
        await asyncio.gather(*(postgres.save(UUID, opts) for _ in range(40)))
        server.stop()
        again = Postgres.start(folder, port=server.port, fsync=False)
        try:
            with pytest.raises(psycopg.OperationalError):
                await postgres.save(UUID, opts)
            await asyncio.gather(*(postgres.save(UUID, opts) for _ in range(40)))
            await postgres.close()
        finally:
            again.stop()


async def test_whoever_finds_the_table_being_made_waits_for_it(
    options: dict[str, Any], database: psycopg.Connection[Any]
) -> None:
    """`IF NOT EXISTS` alone fails when two make a table at once."""
    with database.transaction():
        database.execute("SELECT pg_advisory_xact_lock(%s)", [TABLE_LOCK])
        database.execute(statements("vcons").create)
        saving = asyncio.create_task(postgres.save(UUID, options))
        async with asyncio.timeout(CEILING_SECONDS):
            while not database.execute(BLOCKED).fetchall():  # noqa: ASYNC110 -- the server's event
                await asyncio.sleep(0.01)
        assert not saving.done()
    await saving
    assert len(rows(database)) == 1
