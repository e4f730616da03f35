"""Partitions by day: made ahead, filled by id, dropped when all in them is old."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, time, timedelta
from uuid import UUID, uuid4

import pytest
from pydantic import SecretStr
from sqlalchemy import text

from core.db import partitions
from core.db.database import Database
from core.db.partitions import CHAIN_RUNS, CUSTODY, Partitions
from core.db.runs import RunHistory
from core.db.vcon_owners import OURS, VconOwners
from core.errors import UnavailableError
from core.run_ids import new_run_id
from schemas.run import Run

TODAY = datetime.now(UTC).date()
COLUMNS = {"chain": "main", "config_hash": "c0ffee", "status": "done", "queued_at": None}


@pytest.fixture(autouse=True)
def begin(monkeypatch: pytest.MonkeyPatch) -> None:
    """The days of a test are counted from its own begin: it may be another than this file's."""
    monkeypatch.setattr(f"{__name__}.TODAY", datetime.now(UTC).date())


def at(day: date) -> datetime:
    """Noon of a day."""
    return datetime.combine(day, time(12), UTC)


def id_of(day: date) -> str:
    """The id of a run that was made at noon of this day."""
    ms = int(at(day).timestamp() * 1000)
    return str(UUID(int=ms << 80 | 7 << 76 | 2 << 62 | uuid4().int % (1 << 62)))


def a_run(day: date, **changes: object) -> Run:
    """A run with an id of this day, which ended then."""
    vcons = {"vcon_in": str(uuid4()), "vcon_out": str(uuid4())}
    values = COLUMNS | vcons | {"run_id": id_of(day), "finished_at": at(day)} | changes
    return Run.model_validate(values)


def write(history: RunHistory, *runs: Run) -> None:
    """Record these runs."""
    history.write_runs([run.model_dump(mode="json") for run in runs])


def place(database, run: Run) -> str:
    """The partition that has the run."""
    where = "SELECT CAST(CAST(tableoid AS regclass) AS text) FROM chain_runs WHERE run_id = :id"
    with database.session() as session:
        return session.scalars(text(where), {"id": run.run_id}).one()


def execute(database, statement: str, **words: object) -> list[object]:
    """The first column of what a statement returns."""
    with database.transaction() as session:
        result = session.execute(text(statement), words)
        return list(result.scalars()) if result.returns_rows else []


def made(database, day: date) -> None:
    """The partition of a past day is there."""
    with database.transaction() as session:
        partitions.make_partition(session.connection(), CHAIN_RUNS, day)


@pytest.fixture
def history(migrated) -> RunHistory:
    """The history of runs."""
    return RunHistory(migrated)


@pytest.fixture
def kept(migrated) -> Partitions:
    """The partitions of that database."""
    return Partitions(migrated)


def test_a_run_is_in_the_partition_of_its_id(migrated, history, kept):
    """Those of earlier versions are in one of their own; all are found by id and in the list."""
    kept.make()
    runs = [a_run(TODAY, run_id=new_run_id()), a_run(TODAY, run_id=str(uuid4()))]
    write(history, *runs)
    assert place(migrated, runs[0]) in {f"chain_runs_{TODAY + timedelta(d):%Y%m%d}" for d in (0, 1)}
    assert place(migrated, runs[1]) == "chain_runs_before"
    assert [history.find_run(run.run_id) for run in runs] == runs


def test_each_day_of_the_next_week_is_made_once(kept):
    """By replicas that do it at once, and again; a week later, the next ones."""
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: kept.make(), range(4)))
    assert kept.days(CHAIN_RUNS) == [TODAY + timedelta(number) for number in range(8)]
    kept.make(TODAY + timedelta(7))
    assert kept.days(CHAIN_RUNS) == [TODAY + timedelta(number) for number in range(15)]


def test_runs_without_a_partition_wait_for_theirs(migrated, history, kept):
    """They are recorded all the same, and move when it is made; a later state replaces them."""
    run, far = a_run(TODAY, status="failed"), a_run(TODAY + timedelta(400))
    write(history, run, far)
    assert [place(migrated, run), place(migrated, far)] == ["chain_runs_other"] * 2
    kept.make()
    assert place(migrated, run) == f"chain_runs_{TODAY:%Y%m%d}"
    assert place(migrated, far) == "chain_runs_other"
    done = run.model_copy(update={"status": "done", "attempts": 2})
    write(history, done)
    assert history.find_run(run.run_id) == done
    assert execute(migrated, "SELECT count(*) FROM chain_runs") == [2]


def test_states_of_a_run_are_one_row(migrated, history, kept):
    """In any order, also of one batch; only the first failure of it is counted."""
    kept.make()
    failed = a_run(TODAY, status="failed", error="KeyError: 'x'")
    again = failed.model_copy(update={"attempts": 2})
    write(history, again, failed, a_run(TODAY))
    write(history, failed)
    write(history, again, again)
    assert history.find_run(failed.run_id) == again
    assert execute(migrated, "SELECT count(*) FROM chain_runs") == [2]
    assert execute(migrated, "SELECT count FROM failure_causes") == [1]


def test_a_recovered_run_says_so(history):
    """Its token is kept beside; other runs do not have the field in their answers."""
    run = a_run(TODAY, recovered=True)
    history.write_runs([run.model_dump(mode="json") | {"token": 17}])
    assert history.find_run(run.run_id) == run
    assert run.model_dump()["recovered"]
    assert "recovered" not in a_run(TODAY).model_dump(mode="json")
    assert "recovered" not in str(Run.model_json_schema(mode="serialization"))


def test_a_day_is_dropped_when_all_its_runs_are_old(migrated, history, kept):
    """One that ended lately, or was queued lately and has not ended, keeps its partition."""
    old = TODAY - timedelta(31)
    late, young = at(TODAY - timedelta(29)), {"status": "running", "finished_at": None}
    for number in range(4):
        made(migrated, old - timedelta(number))
    write(history, a_run(old), a_run(old, queued_at=at(old), **young))
    write(history, a_run(old - timedelta(1)), a_run(old - timedelta(1), finished_at=late))
    write(history, a_run(old - timedelta(2)), a_run(old - timedelta(2), queued_at=late, **young))
    dropped = kept.keep({"chain_runs": 30})
    assert dropped == [f"chain_runs_{old - timedelta(3):%Y%m%d}", f"chain_runs_{old:%Y%m%d}"]
    assert execute(migrated, "SELECT count(*) FROM chain_runs") == [4]
    assert kept.keep({"chain_runs": 30}) == []
    assert history.prune_runs(30) == 2  # what is old beside those that are not
    assert kept.keep({"chain_runs": 28})[:2] == [
        f"chain_runs_{old - timedelta(number):%Y%m%d}" for number in (2, 1)
    ]


def test_the_youngest_days_stay(migrated, history, kept):
    """The day of which a part is older than allowed is not touched, and its runs are not either."""
    edge = TODAY - timedelta(30)
    made(migrated, edge)
    run = a_run(edge, finished_at=at(edge) - timedelta(hours=11))
    write(history, run)
    assert kept.keep({"chain_runs": 30}) == []
    history.prune_runs(30)
    assert history.find_run(run.run_id) == run


def test_vcons_of_dropped_runs_keep_their_owners(migrated, history, kept):
    """A claim that was never decided gives way to the run; a decided one stays."""
    old, lineage, claimed, theirs = TODAY - timedelta(40), uuid4(), uuid4(), uuid4()
    owners = VconOwners(migrated)
    owners.claim({claimed: lineage})
    owners.confirm({str(theirs): lineage})
    made(migrated, old)
    run = a_run(old, vcon_in=str(claimed), vcon_out=str(theirs))
    write(history, run, a_run(old))
    execute(migrated, "DELETE FROM vcon_owners WHERE lineage = :ours", ours=OURS)
    assert kept.keep({"chain_runs": 30}) == [f"chain_runs_{old:%Y%m%d}"]
    assert owners.claim({claimed: lineage, theirs: lineage}) == {claimed: "foreign", theirs: "mine"}
    ours = "SELECT count(*) FROM vcon_owners WHERE lineage = :ours AND confirmed"
    assert execute(migrated, ours, ours=OURS) == [3]


def test_owners_are_confirmed_once_days_before(migrated, history, kept, monkeypatch):
    """In slices, and again only if a run has ended since."""
    day = TODAY - timedelta(29)
    made(migrated, day)
    write(history, *(a_run(day) for _ in range(5)))
    monkeypatch.setattr("core.db.vcon_owners._SLICE", 2)
    slices = []
    monkeypatch.setattr(
        partitions,
        "confirm_owners_of",
        lambda *words, work=partitions.confirm_owners_of: slices.append(words) or work(*words),
    )
    kept.keep({"chain_runs": 30})
    kept.keep({"chain_runs": 30})
    assert len(slices) == 4
    assert execute(migrated, "SELECT count(*) FROM vcon_owners WHERE confirmed") == [10]
    write(history, a_run(day, finished_at=datetime.now(UTC) + timedelta(minutes=1)))
    kept.keep({"chain_runs": 30})
    assert len(slices) == 8
    assert execute(migrated, "SELECT count(*) FROM vcon_owners WHERE confirmed") == [12]


def test_a_partition_in_use_is_dropped_later(migrated, history, kept, monkeypatch):
    """A reader that stays is not waited for."""
    old = TODAY - timedelta(40)
    made(migrated, old)
    write(history, a_run(old))
    monkeypatch.setattr(partitions, "_TRIED_FOR", 0.0)
    with migrated.session() as session:
        session.execute(text("SELECT count(*) FROM chain_runs"))
        with pytest.raises(UnavailableError, match="lock timeout"):
            kept.drop(CHAIN_RUNS, 30)
        session.execute(text("SELECT count(*) FROM chain_runs"))
    assert kept.drop(CHAIN_RUNS, 30) == [f"chain_runs_{old:%Y%m%d}"]


def accepted(migrated, when: datetime, released: datetime | None) -> None:
    """A row of custody."""
    execute(
        migrated,
        "INSERT INTO custody (accepted_at, vcon_uuid, lists, open, digest, created_at, terms,"
        " received, released_at) VALUES"
        " (:accepted, gen_random_uuid(), '{in}', :open, '', 0, '{}', '', :released)",
        accepted=when,
        open=[] if released else ["in"],
        released=released,
    )


def test_custody_is_dropped_once_nothing_of_a_day_is_open(migrated, kept):
    """What is open, or was released lately, stays; beside it the others are deleted as rows."""
    days = [TODAY - timedelta(number) for number in (9, 10, 11)]
    with migrated.transaction() as session:
        for day in days:
            partitions.make_partition(session.connection(), CUSTODY, day)
    for day in days:
        for _ in range(3):
            accepted(migrated, at(day), at(day) + timedelta(hours=1))
    accepted(migrated, at(days[1]), None)
    accepted(migrated, at(days[2]), at(TODAY - timedelta(5)))
    other = at(TODAY - timedelta(12))
    accepted(migrated, other, other)
    accepted(migrated, other, None)
    accepted(migrated, at(TODAY), at(TODAY))
    assert kept.keep({"custody": 7}) == [f"custody_{days[0]:%Y%m%d}"]
    left = execute(migrated, "SELECT released_at FROM custody ORDER BY accepted_at")
    assert left == [None, at(TODAY - timedelta(5)), None, at(TODAY)]
    execute(migrated, "UPDATE custody SET released_at = accepted_at, open = '{}'")
    assert kept.keep({"custody": 7}) == [f"custody_{day:%Y%m%d}" for day in (days[2], days[1])]
    assert execute(migrated, "SELECT accepted_at FROM custody") == [at(TODAY)]


VCONS = {name: str(uuid4()) for name in ("replaced", "repeated", "just now", "other", "waits")}
ROWS = [
    # vCon, hours ago, digest, hours ago of its release, outcome
    ("replaced", 9, "a", None, None),
    ("replaced", 8, "b", 7, "done"),
    ("repeated", 9, "a", 7, "done"),
    ("repeated", 8, "a", None, None),
    ("just now", 9, "a", None, None),
    ("just now", 0, "a", None, None),
    ("other", 9, "a", 8, "done"),
    ("other", 8.5, "b", None, None),
    ("waits", 9, "a", None, None),
]


def test_void_rows_are_closed_before_what_makes_them_void_is_dropped(migrated, kept):
    """Those that a later row replaced, or whose content a run has ended; not what still counts."""
    for name, began, digest, ended, outcome in ROWS:
        execute(
            migrated,
            "INSERT INTO custody (accepted_at, vcon_uuid, lists, open, digest, created_at, terms,"
            " received, document, released_at, outcome, token) VALUES (now() - :began * interval"
            " '1 hour', :vcon, '{in}', :open, :digest, 0, '{}', '', '', now() - :ended * interval"
            " '1 hour', :outcome, :token)",
            vcon=VCONS[name],
            began=began,
            ended=ended,
            open=[] if ended else ["in"],
            digest=digest,
            outcome=outcome,
            token=1 if ended else None,
        )
    kept.keep({"custody": 7})
    closed = "SELECT CAST(vcon_uuid AS text) FROM custody WHERE outcome = 'void'"
    assert set(execute(migrated, closed)) == {VCONS["replaced"], VCONS["repeated"]}
    left = execute(migrated, "SELECT CAST(vcon_uuid AS text) FROM custody WHERE open <> '{}'")
    assert sorted(left) == sorted(
        VCONS[name] for name in ("just now", "just now", "other", "waits")
    )


def test_many_released_rows_are_deleted_in_batches(migrated, kept, monkeypatch):
    """All of them, however many there are."""
    monkeypatch.setattr(
        partitions, "_DELETE_RELEASED", partitions._DELETE_RELEASED.replace("1000", "2")
    )
    monkeypatch.setattr(partitions, "_BATCH", 2)
    for _ in range(5):
        accepted(migrated, at(TODAY - timedelta(30)), at(TODAY - timedelta(30)))
    kept.keep({"custody": 7})
    assert execute(migrated, "SELECT count(*) FROM custody") == [0]


@pytest.fixture
def limited(database_settings, migrated, database_name):
    """The database of an account that reads and writes rows and owns no table."""
    account = f"limited_{database_name}"
    execute(migrated, f"CREATE ROLE {account} LOGIN PASSWORD 'limited'")
    rights = "SELECT, INSERT, UPDATE, DELETE"
    execute(migrated, f"GRANT {rights} ON ALL TABLES IN SCHEMA public TO {account}")
    database = Database()
    changes = {"postgres_user": account, "postgres_password": SecretStr("limited")}
    database.initialize(database_settings.model_copy(update=changes))
    yield database
    database.close()
    execute(migrated, f"DROP OWNED BY {account}")
    execute(migrated, f"DROP ROLE {account}")


def test_an_account_that_owns_no_table_does_without_partitions(limited, monkeypatch):
    """It says so; runs are recorded, found and pruned all the same."""
    monkeypatch.setattr(partitions, "_TRIED_FOR", 0.0)
    history = RunHistory(limited)
    with pytest.raises(UnavailableError, match=r"permission denied|must be owner"):
        history.partitions.keep({"chain_runs": 30})
    runs = [a_run(TODAY), a_run(TODAY - timedelta(40))]
    write(history, *runs)
    assert place(limited, runs[0]) == "chain_runs_other"
    assert history.find_run(runs[0].run_id) == runs[0]
    assert history.prune_runs(30) == 1
    assert history.find_run(runs[1].run_id) is None
