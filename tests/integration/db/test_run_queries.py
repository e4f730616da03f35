"""Looking through the history of runs: what is found, in which order, and how."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import chain
from uuid import uuid4

import pytest
from sqlalchemy import text
from sqlalchemy.dialects import postgresql

from core.db.database import Database
from core.db.runs import RunHistory, runs_statement
from core.errors import InvalidError, UnavailableError
from core.settings import DatabaseSettings
from devstack.servers.postgres import Postgres
from schemas.run import Run
from schemas.run_page import RunQuery

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)
A_RUN = "f6a1c9f0-6f7b-4c39-9d5e-2b1f0d6c7a10"


def a_run(seconds: float = 0, **changes: object) -> Run:
    """A run that ended so many seconds after noon."""
    vcon = str(uuid4())
    values = {
        "run_id": str(uuid4()),
        "chain": "main",
        "vcon_in": vcon,
        "vcon_out": vcon,
        "status": "done",
        "queued_at": NOON,
        "finished_at": NOON + timedelta(seconds=seconds),
    }
    return Run.model_validate(values | changes)


def opened(settings: DatabaseSettings) -> Database:
    """A database to be closed by the caller."""
    database = Database()
    database.initialize(settings)
    return database


@pytest.fixture(scope="module")
def shared(postgres_server: Postgres, template_database: str) -> Iterator[Database]:
    """One migrated database for the tests that only add runs to it."""
    name = "patchcord_run_queries"
    postgres_server.create_database(name, template_database)
    values = {key.lower(): value for key, value in postgres_server.environment(name).items()}
    database = opened(DatabaseSettings(environment="test", **values))
    yield database
    database.close()
    postgres_server.drop_database(name)


@pytest.fixture
def history(shared: Database) -> RunHistory:
    """A history without runs."""
    with shared.transaction() as session:
        session.execute(text("DELETE FROM chain_runs"))
    return RunHistory(shared)


@pytest.fixture
def own(database_settings: DatabaseSettings) -> Iterator[Database]:
    """A database of the test's own, for what would disturb others."""
    database = opened(database_settings)
    yield database
    database.close()


def written(history: RunHistory, *runs: Run) -> list[str]:
    """These runs are recorded; their ids."""
    history.write_runs([run.model_dump(mode="json") for run in runs])
    return [run.run_id for run in runs]


def found(history: RunHistory, **conditions: object) -> list[str]:
    """The ids of the runs on one page."""
    return [run.run_id for run in history.list_runs(RunQuery.model_validate(conditions)).runs]


def pages(history: RunHistory, **conditions: object) -> list[list[str]]:
    """The ids of the runs on every page."""
    result, cursor = [], None
    while True:
        page = history.list_runs(RunQuery.model_validate({**conditions, "cursor": cursor}))
        result.append([run.run_id for run in page.runs])
        if (cursor := page.cursor) is None:
            return result


def test_newest_first(history: RunHistory) -> None:
    """Runs come in the order in which they ended, the last one first, as they were recorded."""
    runs = [a_run(2), a_run(3), a_run(1)]
    old, new, oldest = written(history, *runs)
    assert found(history) == [new, old, oldest]
    assert history.list_runs(RunQuery(limit=1)).runs == [runs[1]]


def test_pages_without_gap_or_repetition(history: RunHistory) -> None:
    """Also when several runs have ended in the same moment; the last page has no cursor."""
    runs = [a_run(second) for second in (1, *[2] * 9, 3)]
    for run in runs:
        written(history, run)
    runs.sort(key=lambda run: (run.finished_at, run.run_id), reverse=True)
    result = pages(history, limit=3)
    assert [len(page) for page in result] == [3, 3, 3, 2]
    assert list(chain.from_iterable(result)) == [run.run_id for run in runs]


def test_runs_that_are_added_do_not_shift_a_page(history: RunHistory) -> None:
    """The next page goes on after the last one."""
    older, newer = written(history, a_run(1), a_run(2))
    page = history.list_runs(RunQuery(limit=1))
    assert [run.run_id for run in page.runs] == [newer]
    written(history, a_run(3), a_run(4))
    assert found(history, cursor=page.cursor) == [older]


@pytest.mark.parametrize(
    "conditions", [{"chain": "other"}, {"status": "failed"}, {"since": NOON + timedelta(hours=1)}]
)
def test_a_condition(history: RunHistory, conditions: dict[str, object]) -> None:
    """Only runs for which it holds."""
    matching = a_run(3600, chain="other", status="failed")
    _, wanted = written(history, a_run(), matching)
    assert found(history, **conditions) == [wanted]


def test_conditions_together(history: RunHistory) -> None:
    """All that are given must hold."""
    runs = [a_run(chain="a", status="done"), a_run(chain="a", status="failed"), a_run(chain="b")]
    ids = written(history, *runs)
    assert found(history, chain="a", status="done") == ids[:1]
    assert found(history, chain="b", status="failed") == []


def test_a_vcon_s_runs(history: RunHistory) -> None:
    """Those that it went into and those that it came out of, in any spelling of its uuid."""
    went_in, came_out = a_run(1), a_run(2)
    came_out.vcon_out = went_in.vcon_in
    ids = written(history, went_in, came_out, a_run(3))
    assert found(history, vcon_uuid=went_in.vcon_in.upper()) == [ids[1], ids[0]]


def test_since_is_itself_included(history: RunHistory) -> None:
    """A run that ended in that very moment counts."""
    [run_id] = written(history, a_run(1))
    assert found(history, since=NOON + timedelta(seconds=1)) == [run_id]
    assert found(history, since=NOON + timedelta(seconds=1, microseconds=1)) == []


def test_a_time_without_a_zone_is_utc(history: RunHistory) -> None:
    """Wherever the service runs."""
    [run_id] = written(history, a_run(0))
    assert found(history, since="2026-11-21T12:00:00") == [run_id]
    assert found(history, since="2026-11-21T12:00:01") == []


def test_runs_that_have_not_ended(history: RunHistory) -> None:
    """Only what has ended is history."""
    written(history, a_run(status="running", finished_at=None))
    assert found(history) == []


def test_an_empty_cursor_is_none(history: RunHistory) -> None:
    """A form may send an empty text for what was left out."""
    [run_id] = written(history, a_run())
    assert found(history, cursor="") == [run_id]


@pytest.mark.parametrize("cursor", ["x", "~", f"{NOON.isoformat()}~x", f"x~{A_RUN}", "1~2~3"])
def test_a_cursor_of_ones_own(cursor: str) -> None:
    """A cursor that no page gave is a mistake of the request."""
    with pytest.raises(InvalidError, match="cursor: use the cursor of an earlier page"):
        runs_statement(RunQuery(cursor=cursor))


def test_what_is_no_uuid() -> None:
    """The error names the field and quotes what was given, shortened."""
    with pytest.raises(InvalidError, match=r"^vcon_uuid: 'x{80}' is not a uuid$"):
        runs_statement(RunQuery(vcon_uuid="x" * 500))


@pytest.mark.parametrize(
    ("query", "ways"),
    [
        (RunQuery(), ["Index Scan Backward using ix_chain_runs_before_finished_at"]),
        (
            RunQuery(vcon_uuid=A_RUN),
            ["ix_chain_runs_before_vcon_in", "ix_chain_runs_before_vcon_out"],
        ),
    ],
    ids=["newest", "of a vCon"],
)
def test_a_page_of_many_reads_few(
    history: RunHistory, shared: Database, query: RunQuery, ways: list[str]
) -> None:
    """Runs are found through an index, not by looking at all there are."""
    written(history, *(a_run(second) for second in range(3000)))
    statement = runs_statement(query).limit(51)
    compiled = statement.compile(
        dialect=postgresql.dialect(), compile_kwargs={"literal_binds": True}
    )
    with shared.session() as session:
        session.execute(text("ANALYZE chain_runs"))
        plan = "\n".join(session.scalars(text(f"EXPLAIN {compiled}")))
    assert all(way in plan for way in ways)
    assert "Seq Scan on chain_runs_before" not in plan


def test_without_postgres(own: Database) -> None:
    """When Postgres cannot be used, that is said."""
    own.teardown()
    with pytest.raises(UnavailableError):
        found(RunHistory(own))
