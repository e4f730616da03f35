"""From what is known of a vCon to one sentence, its events, and the command that helps: no I/O."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta

from core.observability.failure_cause import cause_of
from pipeline.runs.effects.replaying import SKIPPED
from pipeline.runs.marks import UNKNOWN_OUTCOME
from pipeline.runs.parking import WAITING, WAITING_TEXT
from schemas.operator.timeline import Event, Place, State
from schemas.run import Run, Step

_FINGERPRINT = re.compile("[0-9a-f]{16}")
"""Older dead letters have a text as their cause, which may quote the conversation."""


def explained(
    places: Sequence[Place], runs: Sequence[Run], *, known: bool
) -> tuple[State, str, str | None]:
    """The state, a sentence, and the arguments of the command that helps.

    `known`: Redis or the history has a trace of the vCon.
    """
    ranked = [place for kind in _OF_KIND for place in places if place.kind == kind]
    if ranked:
        return _of_place(ranked[0])
    last = next((run for run in runs if run.finished_at is not None), None)
    if last is not None:
        return _of_run(last)
    if known:
        return "idle", "It is in Redis; no list, no run and no reader waits for it", None
    return "unknown", "Neither Redis nor the run history knows this vCon", None


def without_texts(
    places: Sequence[Place], runs: Sequence[Run]
) -> tuple[Sequence[Place], Sequence[Run]]:
    """The same with the type of each error in the place of its text."""
    return (
        [each.model_copy(update={"error": _type_of(each.error)}) for each in places],
        [each.model_copy(update={"error": _type_of(each.error)}) for each in runs],
    )


def _type_of(error: str | None) -> str | None:
    if error and error.startswith(WAITING):
        return error.partition("; the last call failed")[0]
    return error and (cause_of(None, None, error, "").type or "an error")


def _of_place(place: Place) -> tuple[State, str, str | None]:
    if place.kind == "list" and place.paused:
        text = f"It waits in {place.name}: chain {place.chain} is paused"
        return "paused", text, f"resume {place.chain}"
    return _OF_KIND[place.kind](place)


def _in_flight(place: Place) -> tuple[State, str, str | None]:
    at = f"at {place.step}" if place.step else "between steps"
    since = f" for {place.seconds:.0f} s" if place.seconds is not None else ""
    where = f"worker {place.name}, attempt {place.attempt or 1}"
    return "running", f"Chain {place.chain} is {at}{since} ({where})", "running"


def _retry(place: Place) -> tuple[State, str, str | None]:
    left = place.seconds or 0
    due = f"is due in {left:.0f} s" if left > 0 else "waits for a worker"
    error = place.error or ""
    if error.startswith(WAITING):
        helps = "destinations" if error.startswith(WAITING_TEXT) else "status"
        return "queued", f"Chain {place.chain} {error}; it {due}", helps
    said = f": {place.error}" if place.error else ""
    attempts = f"Attempt {place.attempt or 1} of chain {place.chain} failed{said}"
    return "retrying", f"{attempts}; the next one {due}", "running"


def _dead_letter(place: Place) -> tuple[State, str, str | None]:
    at = f" at {place.step}" if place.step else ""
    text = f"It failed{at} and is in {place.name}: {place.error or 'no reason is known'}"
    if not (place.cause and _FINGERPRINT.fullmatch(place.cause)):
        return "failed", text, "failures"
    unsure = (place.error or "").startswith(UNKNOWN_OUTCOME)
    how = " --uncertain repeat|skip" if unsure else ""  # the operator decides
    return "failed", text, f"replay --cause {place.cause}{how}"


def _withheld(place: Place) -> tuple[State, str, str | None]:
    at = f" before {place.step}" if place.step else ""
    return "withheld", f"The law withholds it{at}: {place.error or 'unknown'}", "withheld"


def _lock(place: Place) -> tuple[State, str, str | None]:
    return "locked", f"It waits in {place.name} until another run of it has ended", "running"


def _suspect(place: Place) -> tuple[State, str, str | None]:
    text = f"A worker died while it held this vCon of {place.name}: it waits to run alone"
    return "queued", text, "running"


def _list(place: Place) -> tuple[State, str, str | None]:
    return "queued", f"It waits in {place.name} for a worker of chain {place.chain}", "status"


def _egress_list(place: Place) -> tuple[State, str, str | None]:
    text = f"It is in {place.name}, where no reader has acknowledged it yet"
    return "waiting for a reader", text, None


# the sentence is about the first of these kinds that there is
_OF_KIND: Mapping[str, Callable[[Place], tuple[State, str, str | None]]] = {
    "in flight": _in_flight,
    "retry": _retry,
    "lock": _lock,
    "suspect": _suspect,
    "list": _list,
    "dead letter": _dead_letter,
    "withheld": _withheld,
    "egress list": _egress_list,
}


def _of_run(run: Run) -> tuple[State, str, str | None]:
    at = f"{run.finished_at:%Y-%m-%d %H:%M:%S} UTC" if run.finished_at else ""
    said = f": {run.error}" if run.error else ""
    state: State = "failed" if run.status in ("failed", "partial") else "finished"
    return state, f"Chain {run.chain} ended at {at}, {run.status}{said}", None


def events_of(run: Run) -> Iterable[Event]:
    """The events of a run. Links follow each other; storages are written at the same time."""
    about = {"run": run.run_id, "chain": run.chain}
    if run.queued_at:
        yield Event(at=run.queued_at, what="queued", name=run.ingress_list, **about)
    if run.started_at is None:
        return
    began = run.started_at
    yield Event(at=began, what="started", attempt=run.attempts, worker=run.worker, **about)
    for step, at in starts_of(run.steps, began):
        yield Event(
            at=at,
            what=step.kind,
            name=step.name,
            outcome="skipped" if _is_skipped(step) else step.outcome,
            seconds=step.seconds,
            error=step.error,
            **about,
        )
    if run.finished_at:
        yield Event(
            at=run.finished_at,
            what="ended",
            outcome=run.status,
            seconds=round((run.finished_at - began).total_seconds(), 3),
            attempt=run.attempts,
            worker=run.worker,
            error=run.error,
            **about,
        )


def _is_skipped(step: Step) -> bool:
    return step.outcome == "ok" and (step.error or "").startswith(SKIPPED)


def starts_of(steps: Sequence[Step], began: datetime) -> Iterable[tuple[Step, datetime]]:
    """Each step with its start, as far as durations tell: pauses between attempts are not known."""
    for step in steps:
        yield step, began
        if step.kind == "link":
            began += timedelta(seconds=step.seconds)
