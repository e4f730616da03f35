"""How far a storage that was down is trusted: values in, values out."""

from collections.abc import Iterator, Sequence

import pytest

from pipeline.admin.auto_replay import (
    BATCH_MAX,
    TRIAL_ROUNDS,
    Outcome,
    Trial,
    judge,
    outcome_of,
)

TOOK, REFUSED, RUNNING = True, False, None


def tried(outcomes: Sequence[Outcome], **before: int) -> Trial:
    """What follows when these came of a trial."""
    return judge(Trial(runs=[str(n) for n in range(len(outcomes))], **before), outcomes)


def test_a_first_trial_is_one_vcon() -> None:
    """Nothing is known of the storage: one vCon, now."""
    trial = judge(Trial(), [])
    assert (trial.batch, trial.is_due) == (1, True)


@pytest.mark.parametrize(
    ("outcomes", "batch", "skip"),
    [
        ([TOOK], 2, 0),
        ([TOOK] * 4, 8, 0),
        ([TOOK] * BATCH_MAX, BATCH_MAX, 0),
        ([REFUSED], 1, 2),
        ([REFUSED] * 4, 1, 2),
        ([TOOK, REFUSED, TOOK, TOOK], 4, 0),
    ],
    ids=["one", "four", "most", "none", "none of four", "some"],
)
def test_outcomes_say_how_many_are_next(outcomes: Sequence[Outcome], batch: int, skip: int) -> None:
    """All taken: twice as many. Some: as many again. None: one, after a pause."""
    trial = tried(outcomes, batch=len(outcomes))
    assert (trial.batch, trial.skip, trial.runs) == (batch, skip, ())


def test_nothing_is_tried_while_a_run_goes_on() -> None:
    """A storage that takes its time to fail is not given more meanwhile."""
    trial = tried([TOOK, RUNNING], batch=2)
    assert (trial.is_due, len(trial.runs), trial.waited) == (False, 2, 1)


def test_a_run_that_never_ends_is_given_up() -> None:
    """Its list may have lost its reader: after some patience another vCon is tried."""
    trial = tried([RUNNING], waited=TRIAL_ROUNDS)
    assert (trial.batch, trial.runs, trial.skip) == (1, (), 2)


def pauses(number: int) -> Iterator[int]:
    """The pauses between trials of a storage that refuses every time, in rounds."""
    trial = Trial()
    for _ in range(number):
        trial = judge(Trial(batch=trial.batch, failures=trial.failures, runs=["r"]), [REFUSED])
        yield trial.skip


def test_pauses_double_up_to_a_limit() -> None:
    """The longer a storage is down, the more rarely it is tried."""
    assert list(pauses(6)) == [2, 4, 8, 16, 16, 16]


def test_a_pause_is_counted_down() -> None:
    """So many rounds nothing is tried, then one vCon is."""
    trial, rounds = tried([REFUSED]), 0
    while not trial.is_due:
        trial, rounds = judge(trial, []), rounds + 1
    assert (rounds, trial.batch) == (2, 1)


def test_a_success_ends_the_pauses() -> None:
    """A storage that has answered is paused briefly when it goes down again."""
    trial = tried([TOOK], failures=4)
    assert judge(Trial(batch=trial.batch, failures=trial.failures, runs=["r"]), [REFUSED]).skip == 2


def a_run(status: str, **outcomes: str) -> dict[str, object]:
    """The journal of a run with these storages."""
    steps = [{"name": name, "kind": "storage", "outcome": it} for name, it in outcomes.items()]
    return {"status": status, "steps": [{"name": "s", "kind": "link", "outcome": "ok"}, *steps]}


@pytest.mark.parametrize(
    ("run", "outcome"),
    [
        (a_run("queued"), RUNNING),
        (a_run("running", s="ok"), RUNNING),
        (a_run("done", s="ok"), TOOK),
        (a_run("partial", s="ok", other="failed"), TOOK),
        (a_run("partial", s="failed", other="ok"), REFUSED),
        (a_run("failed"), TOOK),
        (a_run("cancelled"), TOOK),
        (None, TOOK),
    ],
    ids=lambda value: value["status"] if isinstance(value, dict) else str(value),
)
def test_what_a_run_says_of_a_storage(run: dict[str, object] | None, outcome: Outcome) -> None:
    """Only a failed save by this very storage is a refusal."""
    assert outcome_of(run, "s") is outcome


def test_a_link_of_the_same_name_is_not_the_storage() -> None:
    """A failed link that is called like the storage does not count."""
    run = a_run("failed")
    run["steps"] = [{"name": "s", "kind": "link", "outcome": "failed"}]
    assert outcome_of(run, "s") is TOOK
