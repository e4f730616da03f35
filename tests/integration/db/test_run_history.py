"""Chain runs as rows: written in batches, found, pruned."""

from datetime import UTC, datetime, timedelta
from itertools import permutations
from uuid import UUID, uuid4

import pytest
from sqlalchemy import event, text

from core.db.runs import RunHistory
from core.errors import InvalidError, UnavailableError
from schemas.run import Run, Step

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)


def a_run(**changes):
    """One finished run."""
    vcon = str(uuid4())
    values = {
        "run_id": str(uuid4()),
        "chain": "main",
        "vcon_in": vcon,
        "vcon_out": vcon,
        "status": "done",
        "ingress_list": "main:in",
        "steps": [
            Step(name="tag", kind="link", outcome="ok", seconds=0.25),
            Step(name="postgres", kind="storage", outcome="failed", seconds=1.5, error="away"),
        ],
        "error": "storage postgres: away",
        "worker": "host-1:17",
        "config_hash": "c0ffee",
        "queued_at": NOON,
        "started_at": NOON + timedelta(microseconds=123456),
        "finished_at": NOON + timedelta(seconds=2),
    }
    return Run(**(values | changes))


def dumped(*runs):
    """Runs as a journal hands them over."""
    return [run.model_dump(mode="json") for run in runs]


@pytest.fixture
def history(migrated):
    """The history of runs in that database."""
    return RunHistory(migrated)


@pytest.fixture
def statements(migrated):
    """Every statement sent to Postgres from now on."""
    sent = []

    @event.listens_for(migrated.engine, "before_cursor_execute")
    def note(connection, cursor, statement, parameters, context, executemany):
        if not statement.startswith("SET LOCAL"):  # the limits of its transaction
            sent.append(statement)

    return sent


def test_a_run_comes_back_as_it_was(history):
    """A run is found again with every field equal."""
    run = a_run()
    history.write_runs(dumped(a_run(), run, a_run()))
    assert history.find_run(run.run_id) == run


def test_a_run_with_nothing_optional_comes_back(history):
    """A run that has only begun to wait is found again, too."""
    ids = {name: str(uuid4()) for name in ("run_id", "vcon_in", "vcon_out")}
    run = Run(chain="main", status="queued", **ids)
    history.write_runs(dumped(run))
    assert history.find_run(run.run_id) == run


def test_run_id_in_any_spelling(history):
    """A run is found by its id in upper case as well."""
    run = a_run()
    history.write_runs(dumped(run))
    assert history.find_run(run.run_id.upper()) == run


@pytest.mark.parametrize("unknown", [str(UUID(int=0)), "not a run id", "", "../etc"])
def test_unknown_run(history, unknown):
    """What was never recorded, or can be no run at all, is None."""
    assert history.find_run(unknown) is None


def test_a_batch_is_one_statement(history, statements):
    """Five hundred runs take one statement."""
    history.write_runs(dumped(*(a_run() for _ in range(500))))
    assert len(statements) == 1


def test_an_empty_batch_asks_nothing(history, statements):
    """No runs, no statement."""
    history.write_runs([])
    assert statements == []


STATES = [
    {"status": "running", "attempts": 1, "finished_at": None},
    {"status": "failed", "attempts": 1, "finished_at": NOON},
    {"status": "running", "attempts": 2, "finished_at": None},
    {"status": "partial", "attempts": 2, "finished_at": NOON + timedelta(minutes=1)},
    {"status": "done", "attempts": 2, "finished_at": NOON + timedelta(minutes=2)},
]


@pytest.mark.parametrize("together", [True, False], ids=["one batch", "batch by batch"])
def test_the_newest_state_wins_in_any_order(history, together):
    """The higher attempt, then the later end, remains in any order of writing."""
    base = a_run().model_dump()
    for order in permutations(Run(**(base | state)) for state in STATES):
        run_id = str(uuid4())
        fresh = dumped(*(run.model_copy(update={"run_id": run_id}) for run in order))
        for batch in [fresh] if together else [[each] for each in fresh]:
            history.write_runs(batch)
        assert history.find_run(run_id).status == "done"


def test_the_same_state_again_replaces(history):
    """Of two reports about the same attempt with the same end, the last one stays."""
    run = a_run(worker="first")
    history.write_runs(dumped(run))
    history.write_runs(dumped(run.model_copy(update={"worker": "second"})))
    assert history.find_run(run.run_id).worker == "second"


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("NUL \0 inside", "NUL \ufffd inside"),
        ("half a pair \ud83d", "half a pair \ufffd"),
        ("written out \\u0000", "written out \\u0000"),
        ("naïve 🎧 \u202e", "naïve 🎧 \u202e"),
    ],
    ids=["nul", "surrogate", "escape", "other"],
)
def test_any_error_text_can_be_recorded(history, given, kept):
    """Texts that Postgres cannot hold are mended, all others are kept as they are."""
    step = Step(name="link", kind="link", outcome="failed", seconds=0, error="-")
    run = dumped(a_run(error="-", steps=[step]))[0]
    run["error"] = run["steps"][0]["error"] = given
    history.write_runs([run])
    found = history.find_run(run["run_id"])
    assert (found.error, found.steps[0].error) == (kept, kept)


@pytest.mark.parametrize(
    "change",
    [{"vcon_in": "no uuid"}, {"chain": None}, {"attempts": 2**40}, {"finished_at": "soon"}],
    ids=lambda change: next(iter(change)),
)
def test_a_batch_is_written_whole_or_not_at_all(history, change):
    """One impossible or missing value refuses its batch, and nothing of the batch is written."""
    good, bad = dumped(a_run(), a_run())
    with pytest.raises(InvalidError):
        history.write_runs([good, bad | change])
    assert history.find_run(good["run_id"]) is None


def test_a_name_too_long_for_its_index_is_invalid(history):
    """A chain's name that no index can hold is refused like any other impossible value."""
    endless = "".join(str(uuid4()) for _ in range(1000))  # random, so that it does not compress
    with pytest.raises(InvalidError):
        history.write_runs(dumped(a_run(chain=endless)))


def test_without_postgres(history, migrated):
    """When Postgres cannot be used, every method says that it is unavailable."""
    migrated.teardown()
    with pytest.raises(UnavailableError):
        history.write_runs(dumped(a_run()))
    with pytest.raises(UnavailableError):
        history.find_run(str(uuid4()))
    with pytest.raises(UnavailableError):
        history.prune_runs(30)


def test_prune_takes_only_what_is_old(history):
    """Runs that ended long ago go, and those queued long ago that never ended; the rest stays."""
    now = datetime.now(UTC)
    old, young = now - timedelta(days=31), now - timedelta(days=29)
    gone = [
        a_run(queued_at=old, finished_at=old),
        a_run(queued_at=old, finished_at=None, status="running"),
    ]
    kept = [
        a_run(queued_at=old, finished_at=young),
        a_run(queued_at=young, finished_at=None, status="running"),
        a_run(queued_at=young, finished_at=now),
    ]
    history.write_runs(dumped(*gone, *kept))
    assert history.prune_runs(30) == 2
    assert [history.find_run(run.run_id) for run in gone] == [None, None]
    assert [history.find_run(run.run_id) for run in kept] == kept


def test_prune_goes_in_small_batches(history, statements):
    """Many old runs are deleted a batch at a time, and all of them are counted."""
    history.write_runs(dumped(*(a_run(finished_at=NOON - timedelta(days=900)) for _ in range(7))))
    statements.clear()
    assert history.prune_runs(30, batch=3) == 7
    assert len(statements) == 3


def test_prune_waits_for_nobody(history, migrated):
    """A row that another session writes is skipped until the next time."""
    with migrated.transaction() as session:  # else a prune that waits would wait for ever
        name = migrated.engine.url.database
        session.execute(text(f"ALTER DATABASE {name} SET lock_timeout = '20s'"))
    migrated.engine.dispose()
    held, free = (a_run(finished_at=NOON - timedelta(days=900)) for _ in range(2))
    history.write_runs(dumped(held, free))
    with migrated.transaction() as session:
        lock = "SELECT 1 FROM chain_runs WHERE run_id = :run_id FOR UPDATE"
        session.execute(text(lock), {"run_id": UUID(held.run_id)})
        assert history.prune_runs(30) == 1
    assert history.prune_runs(30) == 1
