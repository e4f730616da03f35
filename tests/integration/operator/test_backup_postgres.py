"""The tables of a restored database, and the databases into which nothing is restored."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import psycopg
import pytest

from core.db import backup as tables
from core.db.database import Database
from core.errors import ConflictError, InvalidError
from core.settings import DatabaseSettings
from pipeline.operator.backup.format import Reader, Writer
from pipeline.redis_client import keys
from tests.emptying import empty
from tests.integration.law.ledger_scene import Ledger
from tests.integration.operator.backup_scene import BackupScene

HOSTILE = "tab\tline\nback\\slash \\N \\. 'quote' ä \U0001f600"
ROWS = (
    ("INSERT INTO services VALUES (9000000000, %s, now(), now(), NULL)", [HOSTILE]),
    (
        "INSERT INTO chain_runs VALUES (gen_random_uuid(), 'main', 'h', gen_random_uuid(),"
        " gen_random_uuid(), NULL, 'done', 1, jsonb_build_array(%s::text), %s, NULL, NULL,"
        " '2026-01-01 00:00:00.123456+05', 'infinity')",
        [HOSTILE, HOSTILE],
    ),
    (
        "INSERT INTO audit_events (at, action, ref, actor, target, detail)"
        " VALUES (now(), 'a', NULL, 'b', %s, '{}')",
        [HOSTILE],
    ),
)


def rows_of(settings: DatabaseSettings) -> dict[str, list[Any]]:
    """Every row of every table, and where sequences are."""
    with tables.snapshot(settings) as taken:
        found: dict[str, list[Any]] = {
            table.name: [b"".join(taken.copy_out(table))] for table in taken.tables()
        }
        return found | {"sequences": taken.sequences()}


def fill(url: str) -> None:
    """Rows with all kinds of values."""
    with psycopg.connect(url) as connection:
        for statement, values in ROWS:
            connection.execute(statement, values)  # type: ignore[call-overload]


async def test_every_value_is_restored(backups: BackupScene, database_url: str) -> None:
    """Texts with all that `COPY` escapes, JSON, times; and sequences go on."""
    fill(database_url)
    await backups.around()
    before, after = rows_of(backups.source), rows_of(backups.target)
    assert after == before
    assert before["sequences"][0][1:] == (1, True)
    assert "custody_number" in {name for name, *_ in before["sequences"]}  # no table owns it


async def test_days_have_their_partitions_again(backups: BackupScene, database_url: str) -> None:
    """Runs of the last days are where the service looks for them; older ones are there, too."""
    now = int(datetime.now(UTC).timestamp() * 1000)
    days = [datetime.fromtimestamp((now - ago * 86_400_000) / 1000, UTC) for ago in (0, 40, 400)]
    with psycopg.connect(database_url) as connection:
        for day in days:
            row = (
                "INSERT INTO chain_runs (run_id, chain, config_hash, vcon_in, vcon_out, status,"
                " attempts, recorded_on) VALUES (%s, 'main', '', %s, %s, 'done', 1, %s)"
            )
            run_id = UUID(int=int(day.timestamp() * 1000) << 80 | 7 << 76 | 2 << 62)
            connection.execute(row, [run_id, run_id, run_id, day.date()])
    await backups.around()
    where = "SELECT tableoid::regclass::text FROM chain_runs ORDER BY run_id DESC"
    url = database_url.replace(backups.source.postgres_database, backups.target.postgres_database)
    with psycopg.connect(url) as connection:
        names = [name for (name,) in connection.execute(where)]
    assert names == [*(f"chain_runs_{day:%Y%m%d}" for day in days[:2]), "chain_runs_other"]


async def test_a_database_with_rows_is_refused(backups: BackupScene, database_url: str) -> None:
    """Before anything is written, also to Redis; a dry run checks the backup and says so."""
    backups.client.set("mine", 1)
    await backups.back_up()
    empty(backups.client)
    fill(database_url)
    backups.target = backups.source
    refused = r"not empty \(audit_events, chain_runs, services"
    with pytest.raises(ConflictError, match=refused):
        await backups.restore()
    checked = await backups.restore(dry_run=True)
    assert checked.refusal
    assert re.search(refused, checked.refusal)
    assert backups.client.dbsize() == 0


async def test_a_redis_with_keys_is_refused(backups: BackupScene) -> None:
    """Or with a living process; keys of processes that have ended are no reason."""
    await backups.back_up()
    for key in ("another", "pc:worker:alive"):
        backups.client.set(key, 1)
        with pytest.raises(ConflictError, match=f"Redis is not empty .it has {key}"):
            await backups.restore()
        backups.client.delete(key)
    backups.client.set("pc:probe", 1)
    await backups.restore()


async def test_an_older_backup_is_migrated(backups: BackupScene, database_url: str) -> None:
    """It is restored at its revision, and then at the newest one."""
    old = Database()
    old.initialize(backups.target)
    old.migrate("0003")
    old.close()
    backups.source, backups.target = backups.target, backups.source
    await backups.back_up()
    with pytest.raises(ConflictError, match=r"is at revision .* restore into a database without"):
        await backups.restore()  # that database is migrated already
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("DROP SCHEMA public CASCADE; CREATE SCHEMA public")
    result = await backups.restore()
    assert result.content.revision == "0003"
    with tables.snapshot(backups.target) as taken:
        assert taken.revision > "0006"


async def test_a_newer_backup_is_refused(backups: BackupScene) -> None:
    """This version cannot know what its tables mean."""
    with backups.file.open("wb") as out:
        file = Writer(out, {"revision": "9999"})
        for name in ("lists", "keys", "vcons", "last", "sequences"):
            with file.part(name):
                pass
        file.finish()
    with pytest.raises(InvalidError, match="revision 9999, which this version does not know"):
        await backups.restore(dry_run=True)


async def test_a_failure_of_redis_leaves_the_database_empty(
    backups: BackupScene, database_url: str
) -> None:
    """The rows are committed after Redis has taken everything."""
    fill(database_url)
    with backups.file.open("wb") as out:
        file = Writer(out, {"revision": rows_of_revision(backups.source)})
        with tables.snapshot(backups.source) as taken:
            for table in taken.tables():
                with file.part(f"table:{table.name}", columns=table.columns) as part:
                    for piece in taken.copy_out(table):
                        part.raw(piece, 1)
        for name in ("lists", "keys", "vcons", "last", "sequences"):
            with file.part(name) as part:
                if name == "vcons":
                    part.row("document", "a", "ReJSON-RL", -1, "this is no JSON")
        file.finish()
    with pytest.raises(InvalidError, match=r"refuses JSON.SET of vcon:a.*Postgres is unchanged"):
        await backups.restore()
    assert set(map(str, rows_of(backups.target)["services"])) == {"b''"}


def rows_of_revision(settings: DatabaseSettings) -> str:
    """The revision of a database."""
    with tables.snapshot(settings) as taken:
        return taken.revision


async def test_a_damaged_backup_writes_nothing(backups: BackupScene) -> None:
    """The whole file is read first."""
    backups.client.set("mine", 1)
    await backups.back_up()
    data = bytearray(backups.file.read_bytes())
    data[-10] ^= 1
    backups.file.write_bytes(data)
    empty(backups.client)
    with pytest.raises(InvalidError, match="nothing of it was written"):
        await backups.restore()
    assert backups.client.dbsize() == 0
    with backups.file.open("rb") as file:
        assert Reader(file).header["format"] == 1


@pytest.mark.parametrize(
    ("part", "row", "error"),
    [
        ("keys", ["tomorrow", "a"], "unknown kind, 'tomorrow'"),
        ("keys", ["hash", "a", "field"], "a row hash that no version"),
        ("vcons", ["document", "a", "ReJSON-RL", "soon", "{}"], "a row document that no"),
        ("lists", ["list", "in"], "a row list that no version"),
        ("sequences", ["pg_sequence", "1", "1"], "a sequence 'pg_sequence', which"),
        ("table:pg_authid", [], "a table 'pg_authid', which this version"),
        ("table:tokens", [], "a table 'tokens', which this version"),
    ],
)
async def test_what_no_backup_has_is_refused_before_anything_is_written(
    backups: BackupScene, part: str, row: list[str], error: str
) -> None:
    """Though the sums are right."""
    with backups.file.open("wb") as out:
        file = Writer(out, {"revision": "0001"})
        with file.part(part, columns=["a"] if part == "table:pg_authid" else "a") as written:
            if row:
                written.row(*row)
        file.finish()
    with pytest.raises(InvalidError, match=error):
        await backups.restore()
    assert backups.client.dbsize() == 0


async def test_what_was_erased_is_refused_once_restored(
    backups: BackupScene, database_url: str
) -> None:
    """Also if it was erased after Redis was read, and before Postgres was."""
    erased = "019aa000-0000-7000-8000-000000000001"
    with psycopg.connect(database_url) as connection:
        connection.execute(f"INSERT INTO law_tombstones VALUES ('{erased}', 1, '{erased}')")
    backups.client.json().set(keys.vcon(erased), ".", {"uuid": erased})
    await backups.around()
    assert backups.client.get(keys.tombstone(erased)) == erased
    assert backups.client.get(keys.TOMBSTONES) is None  # the service removes what is there


async def test_the_ledger_is_intact_after_a_restore(
    backups: BackupScene, migrated: Database
) -> None:
    """Its chain, its numbers and what it refuses; it goes on where it ended."""
    Ledger(migrated).a_run("s3", "crm")
    await backups.around()
    restored = Database()
    restored.initialize(backups.target)
    ledger = Ledger(restored)
    ledger.a_run("later")
    report = ledger.verified()
    assert (report.findings, report.events, report.deliveries) == ([], 5, 3)
    with pytest.raises(ConflictError, match="append-only"):
        ledger.execute("DELETE FROM law_events")
    restored.close()
