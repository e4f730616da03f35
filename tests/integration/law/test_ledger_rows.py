"""Deliveries before calls, their outcomes with the history, and the events of both."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from uuid import uuid4

import pytest

from core.db.law.deliveries import ADD_SALTS, LOCK_SALTS, NewDelivery, salts_for
from core.db.settlements import SettledRun, Settlements
from core.run_ids import new_run_id
from tests.integration.law.ledger_scene import AT, Ledger, digest_of

OUTCOMES = "SELECT name, outcome, error, ended_at IS NULL FROM law_deliveries ORDER BY id"


def test_a_delivery_is_there_before_its_outcome(ledger: Ledger) -> None:
    """Its outcome and its event come with the run's history."""
    vcon, run_id = str(uuid4()), new_run_id()
    first, second = ledger.begin(vcon, run_id, "s3", "crm", text="{}")
    assert ledger.execute(OUTCOMES) == [("s3", None, None, True), ("crm", None, None, True)]
    assert ledger.events() == [("vcon_received", "version:1")]
    ledger.end(vcon, run_id, [[first, "ok", None, AT], [second, "failed", "TimeoutError", AT]])
    assert ledger.execute(OUTCOMES) == [
        ("s3", "ok", None, False),
        ("crm", "failed", "TimeoutError", False),
    ]
    sent = [("vcon_sent", f"delivery:{each}") for each in (first, second)]
    assert ledger.events() == [("vcon_received", "version:1"), *sent]
    assert ledger.verified().findings == []


def test_a_batch_that_is_written_twice_adds_nothing(ledger: Ledger) -> None:
    """Also by two replicas at the same time."""
    vcon, run_id = str(uuid4()), new_run_id()
    [delivery] = ledger.begin(vcon, run_id, "s3", text="{}")
    version = {"vcon_uuid": vcon, "origin": "enhanced", "form": "unsigned", "bytes": 3}
    version |= {"digest": digest_of("later"), "chain": "main", "run_id": run_id, "signers": []}
    told = {"digest": "", "versions": [version], "ended": [[delivery, "ok", None, AT]]}
    run = ledger.end(vcon, run_id, [], law=told)
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: ledger.history.write_runs([run]), range(8)))
    assert [event for event, _ in ledger.events()] == [
        "vcon_received",
        "vcon_enhanced",
        "vcon_sent",
    ]
    assert ledger.verified().findings == []


def test_deliveries_of_killed_attempts_count(ledger: Ledger) -> None:
    """The outcome that no attempt has told is unknown once the run has ended."""
    vcon, run_id = str(uuid4()), new_run_id()
    killed = ledger.begin(vcon, run_id, "s3", text="{}")
    [again] = ledger.begin(vcon, run_id, "s3")
    ledger.end(vcon, run_id, [], finished_at=None, status="queued")
    assert [outcome for _, outcome, *_ in ledger.execute(OUTCOMES)] == [None, None]
    ledger.end(vcon, run_id, [[again, "ok", None, AT]])
    assert [outcome for _, outcome, *_ in ledger.execute(OUTCOMES)] == ["unknown", "ok"]
    assert ledger.events()[1:] == [
        ("vcon_sent", f"delivery:{killed[0]}"),
        ("vcon_sent", f"delivery:{again}"),
    ]


def test_the_end_of_a_run_in_custody_tells_the_same(ledger: Ledger) -> None:
    """Where the worker commits the end before Redis has it."""
    for status in ("done", "failed"):
        vcon, run_id = str(uuid4()), new_run_id()
        [delivery] = ledger.begin(vcon, run_id, status, text=vcon)
        run = ledger.end(vcon, run_id, [[delivery, "ok", None, AT]], finished_at=None)
        run |= {"status": status, "finished_at": AT, "error": "ValueError: no"}
        settled = SettledRun(run, 7, ())
        assert Settlements(ledger.database).write([settled, settled]) == [{}, {}]
    assert [outcome for _, outcome, *_ in ledger.execute(OUTCOMES)] == ["ok", "ok"]
    assert [event for event, _ in ledger.events()] == ["vcon_received", "vcon_sent"] * 2


def test_an_expired_basis_is_an_event(ledger: Ledger) -> None:
    """Of the run that is withheld for it."""
    vcon, run_id = str(uuid4()), new_run_id()
    ledger.begin(vcon, run_id, "s3", text="{}")
    error = "LawfulBasisExpiredError: nothing allows the purpose transcription"
    run = ledger.end(vcon, run_id, [], status="withheld", error=error)
    ledger.history.write_runs([run])
    assert ledger.events()[-1] == ("vcon_expired", f"run:{run_id}")
    assert len(ledger.events()) == 3


def test_an_erased_vcon_is_not_given_away(ledger: Ledger) -> None:
    """Its delivery gets no row; others of the same batch do."""
    gone, there = str(uuid4()), str(uuid4())
    ledger.execute(f"INSERT INTO law_tombstones VALUES ('{gone}', 1, gen_random_uuid())")
    items = [NewDelivery(each, "link", "tag", digest_of("")) for each in (gone, there, gone)]
    first, second, third = ledger.deliveries.begin(items)
    assert (first, third) == (None, None)
    assert ledger.execute("SELECT id, vcon_uuid::text FROM law_deliveries") == [(second, there)]


def test_a_delivery_waits_for_an_erasure_that_begins(ledger: Ledger) -> None:
    """Either the erasure finds the delivery, or the delivery the tombstone."""
    vcon, run_id = str(uuid4()), new_run_id()
    ledger.begin(vcon, run_id, "s3", text="{}")
    with ThreadPoolExecutor(1) as pool, ledger.database.transaction() as session:
        for statement in (ADD_SALTS, LOCK_SALTS):
            session.connection().exec_driver_sql(statement, salts_for([vcon]))
        later = pool.submit(ledger.begin, vcon, run_id, "crm")
        waiting = "SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
        while not ledger.execute(waiting):
            assert not later.done()
        tombstone = f"INSERT INTO law_tombstones VALUES ('{vcon}', 1, gen_random_uuid())"
        session.connection().exec_driver_sql(tombstone)
        session.commit()
        assert later.result() == [None]


def test_a_commitment_needs_the_salt(ledger: Ledger) -> None:
    """Two vCons of the same text have different ones; none is made once the salt is forgotten."""
    first, second = str(uuid4()), str(uuid4())
    for vcon in (first, second):
        ledger.begin(vcon, new_run_id(), "s3", text="{}")
    commitments = {row[0] for row in ledger.execute("SELECT commitment FROM law_versions")}
    assert len(commitments) == 2
    assert digest_of("{}") not in commitments
    ledger.execute("UPDATE law_salts SET salt = NULL, forgotten_at = now()")
    ledger.begin(first, new_run_id(), "s3", text="other")
    assert ledger.execute("SELECT commitment FROM law_versions ORDER BY id DESC LIMIT 1") == [("",)]


def test_a_run_that_is_lost_ends_its_deliveries(ledger: Ledger) -> None:
    """After some days, by the housekeeping of any replica."""
    ledger.begin(str(uuid4()), new_run_id(), "s3", text="{}")
    assert ledger.end_overdue() == 0
    ledger.as_superuser("UPDATE law_deliveries SET begun_at = now() - interval '8 days'")
    assert ledger.end_overdue() == 1
    assert ledger.events()[-1] == ("vcon_sent", "delivery:1")
    assert ledger.verified().findings == []


@pytest.mark.parametrize(
    "law", [7, "x", [1], {"versions": 7}, {"versions": [7], "ended": []}, {"ended": [[1]]}]
)
def test_notes_that_cannot_be_read_stop_no_history(ledger: Ledger, law: object) -> None:
    """Such as those that another program has put into the list of the history."""
    vcon, run_id = str(uuid4()), new_run_id()
    ledger.end(vcon, run_id, [], law=law)
    assert ledger.execute("SELECT run_id::text FROM chain_runs") == [(run_id,)]
