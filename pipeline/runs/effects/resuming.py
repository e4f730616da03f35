"""Resuming a run from the checkpoint of an earlier attempt, or of a run that is replayed."""

import logging
from dataclasses import replace
from typing import Any

import orjson

from core.observability.storable_text import described
from pipeline.custody.ledger_notes import LedgerNotes
from pipeline.runs.marks import MARK_LOST, is_once, marks_in
from pipeline.runs.plan import Progress
from pipeline.runs.run_state import RunState
from pipeline.runs.withholding import Untraced
from schemas.run import MARKED, StepKind

log = logging.getLogger(__name__)


def resume(live: RunState) -> None:
    """Resume from an earlier attempt's checkpoint.

    The run starts over if the chain's links have changed since, or the checkpoint cannot be read.
    """
    if live.claim.attempt > MARKED:
        live.claim = replace(live.claim, attempt=live.claim.attempt % MARKED)
        live.is_unsure = not live.chain.repeat_uncertain
    if live.claim.journal:
        _resume_all(live)
    if live.is_unsure:
        live.refusal = MARK_LOST


def _resume_all(live: RunState) -> None:
    try:
        earlier = orjson.loads(live.claim.journal)
        live.queued_at = earlier["queued_at"]
        live.recovered = earlier.get("recovered") is True
        live.continues = str(earlier.get("continues") or "")
        live.ledger = LedgerNotes.told_in(earlier)
        if earlier["status"] == "failed":
            live.not_settled, live.begun = earlier["error"], int(earlier["attempts"])
        _resume(live, earlier)
        _resume_marks(live, earlier)
    except (ValueError, KeyError, TypeError) as error:
        log.warning("checkpoint not readable; run starts over", extra={"error": described(error)})
        live.start_over()


def _resume(live: RunState, earlier: dict[str, Any]) -> None:
    links = _done(earlier, "link")
    expected = [link.name for link in live.chain.links][: len(links)]
    if [step["name"] for step in links] != expected:
        live.refusal = _refusal(live, links)
        return
    # storages were written before a link that is new in the chain: they are written again
    saved = _done(earlier, "storage") if len(links) == len(live.chain.links) else []
    live.steps = links + saved
    live.resumed = len(live.steps)
    live.progress = Progress(
        vcon=earlier["vcon_out"],
        links_done=len(links),
        saved=frozenset(step["name"] for step in saved),
    )
    untraced = Untraced.told_in(earlier)
    if untraced is not None and untraced.index == len(links) - 1:
        live.untraced = untraced
    if any(map(is_once, live.steps)):
        live.keep()


def _refusal(live: RunState, done: list[dict[str, Any]]) -> str | None:
    """Why a run whose chain has changed must not start over; None if it may."""
    names = {link.name for link in live.chain.links}
    repeated = [step["name"] for step in done if is_once(step) and step["name"] in names]
    if not repeated or live.chain.repeat_uncertain:
        return None
    return (
        f"the chain's links have changed since link {repeated[0]} was done, which must not be "
        "repeated: replay from the start to repeat it"
    )


def _resume_marks(live: RunState, earlier: dict[str, Any]) -> None:
    """What has begun in an earlier attempt, and would be repeated, is not."""
    if live.chain.repeat_uncertain:
        return
    left = [link.name for link in live.chain.links[live.progress.links_done :]]
    storages = {storage.name for storage in live.chain.storages} - live.progress.saved
    for mark in marks_in(earlier):
        if mark.kind == "link" and mark.name in left:
            live.marks = (*live.marks, mark)
        elif mark.kind == "storage" and mark.name in storages:
            live.note("storage", mark.name, "failed", 0, live.give_up(mark))
            refused = live.progress.refused | {mark.name}
            live.progress = replace(live.progress, refused=refused)


def _done(earlier: dict[str, Any], kind: StepKind) -> list[dict[str, Any]]:
    return [step for step in earlier["steps"] if step["kind"] == kind and step["outcome"] == "ok"]
