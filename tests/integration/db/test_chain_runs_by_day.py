"""The revision that partitions the history of runs, on a filled database."""

from concurrent.futures import ThreadPoolExecutor
from itertools import count
from uuid import uuid4

import pytest
from sqlalchemy import Engine, event, text

from core.db.database import Database
from core.db.migrations import run_alembic
from core.db.runs import RunHistory
from core.errors import PatchcordError
from core.run_ids import new_run_id
from schemas.run import Run
from tests.integration.db.test_migrations import FILL, SCHEMA, execute

BEFORE, AFTER = "0009", "0010"
ROWS = "SELECT md5(string_agg(CAST(row AS text), '' ORDER BY run_id)) FROM ({}) AS row"
OLD_COLUMNS = (
    "run_id, chain, config_hash, vcon_in, vcon_out, ingress_list, status, attempts, steps, error,"
    " worker, queued_at, started_at, finished_at"
)
OLD_ROWS = ROWS.format(f"SELECT {OLD_COLUMNS} FROM chain_runs")
A_ROW = """
INSERT INTO chain_runs (run_id, chain, config_hash, vcon_in, vcon_out, status, attempts)
VALUES (gen_random_uuid(), 'main', '', gen_random_uuid(), gen_random_uuid(), 'done', 1)
"""


@pytest.fixture
def filled(empty_settings):
    """A database at the revision before, with a thousand runs."""
    database = Database()
    database.initialize(empty_settings)
    database.migrate(BEFORE)
    execute(database, FILL)
    yield database
    database.close()


def downgrade(database):
    """Back to the revision before."""
    with database.engine.connect() as connection:
        run_alembic("downgrade", BEFORE, connection, database._settings)


def test_rows_stay_where_they_are(filled):
    """The table becomes a partition with the same file; other accounts keep their rights."""
    execute(filled, "GRANT SELECT ON chain_runs TO PUBLIC")
    file = execute(filled, "SELECT pg_relation_filenode('chain_runs')")
    rows = execute(filled, OLD_ROWS)
    filled.migrate(AFTER)
    assert execute(filled, "SELECT pg_relation_filenode('chain_runs_before')") == file
    assert execute(filled, OLD_ROWS) == rows
    allowed = "SELECT has_table_privilege('pg_monitor', 'chain_runs', 'SELECT')"
    assert execute(filled, allowed) == [(True,)]


def test_back_and_up_again_keeps_every_run(filled):
    """Those of old ids, of days, and of days without a partition."""
    filled.migrate(AFTER)
    history, schema = RunHistory(filled), execute(filled, SCHEMA)
    vcons = {"vcon_in": str(uuid4()), "vcon_out": str(uuid4())}
    ids = [str(uuid4()), new_run_id(), "0c0c0c0c-0c0c-7000-8000-000000000000"]
    runs = [Run(run_id=each, chain="main", status="done", **vcons) for each in ids]
    history.write_runs([run.model_dump(mode="json") for run in runs[2:]])
    history.partitions.make()
    history.write_runs([run.model_dump(mode="json") for run in runs[:2]])
    rows = execute(filled, OLD_ROWS)
    downgrade(filled)
    assert execute(filled, OLD_ROWS) == rows
    filled.migrate(AFTER)
    assert execute(filled, OLD_ROWS) == rows
    assert execute(filled, SCHEMA) == schema


def interrupted(database, number: int) -> bool:
    """Migrate, but break off before so many statements that change something; False if it ended."""
    changes = count()

    def stop(_connection, _cursor, statement, *_rest):
        if not statement.lstrip().startswith("SELECT") and next(changes) == number:
            raise InterruptedError

    event.listen(Engine, "before_cursor_execute", stop)
    try:
        database.migrate(AFTER)
    except InterruptedError:
        return True
    finally:
        event.remove(Engine, "before_cursor_execute", stop)
    return False


def test_it_can_be_interrupted_before_each_statement(filled):
    """Run again, it does the rest: the schema is the same, and no row is missing."""
    rows = execute(filled, OLD_ROWS)
    filled.migrate(AFTER)
    schema = execute(filled, SCHEMA)
    number = 0
    downgrade(filled)
    while interrupted(filled, number):
        filled.migrate(AFTER)
        assert execute(filled, SCHEMA) == schema
        assert execute(filled, OLD_ROWS) == rows
        downgrade(filled)
        number += 1
    assert number > 8


def test_writers_go_on_beside_it(filled):
    """Also while it waits for a reader that has not ended; all that they write is there after."""
    with ThreadPoolExecutor(2) as pool:
        with filled.session() as reader:
            reader.execute(text("SELECT count(*) FROM chain_runs"))
            migrating = pool.submit(filled.migrate, AFTER)
            while not execute(filled, "SELECT FROM pg_locks WHERE NOT granted LIMIT 1"):
                assert not migrating.done()
            for _ in range(20):
                execute(filled, A_ROW)
            assert not migrating.done()
        written = 20
        while not migrating.done():
            execute(filled, A_ROW)
            written += 1
        migrating.result()
    execute(filled, A_ROW)
    assert execute(filled, "SELECT count(*) FROM chain_runs_before") == [(1001 + written,)]


def test_a_version_that_is_ahead_of_its_database_writes_later(filled):
    """Before it, and between its statements, a run is written or kept, and never given up."""
    vcon = str(uuid4())
    run = Run(run_id=new_run_id(), chain="main", status="done", vcon_in=vcon, vcon_out=vcon)
    history, number, outcomes = RunHistory(filled), 0, []
    while interrupted(filled, number):
        outcomes.append(attempt(history, run))
        number += 1
    assert "InvalidError" not in outcomes
    assert attempt(history, run) == ""
    assert history.find_run(run.run_id) == run


def attempt(history, run: Run) -> str:
    """The kind of error with which a run was not written."""
    try:
        history.write_runs([run.model_dump(mode="json")])
    except PatchcordError as error:
        return type(error).__name__
    return ""
