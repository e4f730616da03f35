"""A run's journal, and how another attempt goes on from it."""

import orjson
import pytest

from pipeline.config.parser import Chain, LinkStep, PluginSpec, StorageSpec
from pipeline.plugins.loader import Plugins
from pipeline.runs.effects.resuming import resume
from pipeline.runs.plan import Progress
from pipeline.runs.queues import Claim
from pipeline.runs.run_state import fresh_run
from schemas.run import Run

VCON = "018f3a52-1111-8aaa-8bbb-0123456789ab"
OTHER = "018f3a52-2222-8aaa-8bbb-0123456789ab"
RUN = "018f3a52-3333-8aaa-8bbb-0123456789ab"


def a_chain(links="ab", storages="xy"):
    """A chain with one link and one storage for each letter."""
    return Chain(
        "main",
        links=tuple(LinkStep(name, PluginSpec(name, "m")) for name in links),
        storages=tuple(StorageSpec(name, "m") for name in storages),
    )


def a_run(chain=None, *, journal="", list_name="in", attempt=1):
    """A run just claimed."""
    claim = Claim(list_name, VCON, VCON, RUN, attempt, journal)
    live = fresh_run(claim, chain or a_chain(), Plugins(), "worker-1", "c0ffee")
    resume(live)
    return live


def journal_of(*steps, vcon=VCON):
    """The journal of an earlier attempt; a step is kind, name, outcome."""
    run = a_run()
    for kind, name, outcome in steps:
        run.note(kind, name, outcome, 0.5)
    run.progress = Progress(vcon)
    return run.journal().decode()


def test_a_journal_is_a_run_as_callers_see_it():
    """Every field of the answer is in it, in the answer's own shape."""
    run = a_run(attempt=2)
    run.note("link", "a", "ok", 0.1234567)
    run.note("storage", "x", "failed", 2, "OSError: no")
    run.progress = Progress(OTHER, 1, error="it failed")
    seen = Run.model_validate_json(run.journal("partial"))
    assert (seen.run_id, seen.chain, seen.vcon_in, seen.vcon_out) == (RUN, "main", VCON, OTHER)
    assert (seen.status, seen.attempts, seen.ingress_list) == ("partial", 2, "in")
    assert [(s.name, s.kind, s.outcome, s.seconds, s.error) for s in seen.steps] == [
        ("a", "link", "ok", 0.123457, None),
        ("x", "storage", "failed", 2, "OSError: no"),
    ]
    assert (seen.error, seen.worker, seen.config_hash) == ("it failed", "worker-1", "c0ffee")
    assert seen.started_at <= seen.finished_at


@pytest.mark.parametrize("status", ["queued", "running"])
def test_a_run_that_goes_on_has_no_end(status):
    """The time of its end is there only when it has one."""
    assert orjson.loads(a_run().journal(status))["finished_at"] is None


def test_a_requested_run_has_no_ingress_list():
    """A run list is not shown as the run's ingress list."""
    assert orjson.loads(a_run(list_name="run:main").journal())["ingress_list"] is None


def test_the_first_attempt_begins_at_the_beginning():
    """Without a journal nothing is done yet."""
    assert a_run().progress == Progress(VCON)


@pytest.mark.parametrize(
    ("journal", "progress", "kept"),
    [
        (journal_of(), Progress(VCON), []),
        (journal_of(("link", "a", "ok")), Progress(VCON, 1), ["a"]),
        (journal_of(("link", "a", "ok"), ("link", "b", "failed")), Progress(VCON, 1), ["a"]),
        (journal_of(("link", "a", "ok"), vcon=OTHER), Progress(OTHER, 1), ["a"]),
        (
            journal_of(("link", "a", "ok"), ("link", "b", "ok"), ("storage", "y", "ok")),
            Progress(VCON, 2, frozenset("y")),
            ["a", "b", "y"],
        ),
        (
            journal_of(("link", "a", "ok"), ("link", "b", "ok"), ("storage", "y", "failed")),
            Progress(VCON, 2),
            ["a", "b"],
        ),
    ],
    ids=["nothing", "one link", "failed link", "replaced", "saved", "refused"],
)
def test_the_next_attempt_goes_on_after_what_is_known_to_be_done(journal, progress, kept):
    """Links and storages that were ok are not repeated, and stay in the journal."""
    run = a_run(journal=journal, attempt=2)
    assert run.progress == progress
    assert [step["name"] for step in run.steps] == kept


@pytest.mark.parametrize("links", ["ba", "cab", "c"])
def test_a_journal_of_another_chain_counts_for_nothing(links):
    """When the links have changed since, the run starts over with what came in."""
    journal = journal_of(("link", "a", "ok"), ("storage", "x", "ok"), vcon=OTHER)
    run = a_run(a_chain(links), journal=journal)
    assert (run.progress, run.steps) == (Progress(VCON), [])


def test_a_link_that_is_new_at_the_end_runs_and_everything_is_stored_again():
    """What the storages have is older than what the new link will make."""
    journal = journal_of(("link", "a", "ok"), ("storage", "x", "ok"))
    run = a_run(a_chain("ab"), journal=journal)
    assert run.progress == Progress(VCON, 1)
    assert [step["name"] for step in run.steps] == ["a"]


def test_the_time_of_the_request_is_kept():
    """A requested run knows through all attempts when it was asked for."""
    queued = Run(
        run_id=RUN,
        chain="main",
        vcon_in=VCON,
        vcon_out=VCON,
        status="queued",
        queued_at="2026-11-21T12:00:00Z",
    )
    run = a_run(journal=queued.model_dump_json())
    assert orjson.loads(run.journal())["queued_at"] == "2026-11-21T12:00:00Z"


def test_a_run_can_start_over():
    """Nothing is done, nothing unwritten, and the vCon is the one that came in."""
    run = a_run()
    run.note("link", "a", "ok", 0.1)
    run.progress = Progress(OTHER, 1)
    run.memory.write(OTHER, b"{}")
    run.start_over()
    assert (run.progress, run.steps, run.record().document) == (Progress(VCON), [], b"")


def test_what_redis_lacks_goes_into_the_record():
    """The record has the journal and the unwritten document of the current vCon."""
    run = a_run()
    assert run.record().document == b""
    run.memory.write(VCON, b"{}")
    record = run.record("queued")
    assert (record.vcon_uuid, record.document) == (VCON, b"{}")
    assert orjson.loads(record.journal)["status"] == "queued"


def test_the_base_of_a_patch():
    """It is what was read, and then what was written; none before the write has succeeded."""
    run = a_run()
    run.memory.read(VCON, b"read", run.memory.writes)
    run.memory.write(VCON, b"new")
    assert run.record().base == b"read"
    begun = run.memory.begin_write()
    assert run.record().base is None
    run.memory.end_write(VCON, b"new", begun)
    assert run.memory.base(VCON) == b"new"
    assert run.memory.base(OTHER) is None
    run.memory.forget()
    assert run.memory.base(VCON) is None


@pytest.mark.parametrize("late", ["read", "write"])
def test_a_base_that_may_be_outdated(late: str):
    """What was read or written while another write was under way is none."""
    run, writes = a_run(), 0
    if late == "read":
        run.memory.begin_write()
        run.memory.read(VCON, b"read", writes)
    else:
        first, second = run.memory.begin_write(), run.memory.begin_write()
        run.memory.end_write(VCON, b"second", second)
        run.memory.begin_write()
        run.memory.end_write(VCON, b"first", first)
    assert run.memory.base(VCON) is None


def test_a_write_with_a_time_to_live():
    """It is newer than what waits for the next checkpoint, which must not replace it."""
    run = a_run()
    run.memory.in_use = True
    run.memory.write(VCON, b"older")
    run.memory.superseded(OTHER)
    assert run.record().document == b"older"
    run.memory.superseded(VCON)
    assert (run.record().document, run.memory.recall(VCON)) == (b"", None)
