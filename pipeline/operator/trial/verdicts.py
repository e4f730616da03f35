"""The result of a trial: what differs for each vCon, and the verdict. Pure functions."""

from collections.abc import Mapping, Sequence

from core.observability.redaction import KNOWN
from pipeline.config.parser import PipelineConfig
from pipeline.operator.trial.messages import How, Loaded, Passage, Recorded, StepTried, Tried
from pipeline.operator.trial.passage import NOT_PURE
from pipeline.operator.trial.subjects import Subject
from pipeline.operator.trial.views import differences
from schemas.operator.configuration import (
    Difference,
    LinkPlan,
    Totals,
    TrialResult,
    TriedStep,
    TriedVcon,
)
from schemas.run import Run

MOST_DIFFERENCES = 100
"""Differences of one vCon that are listed."""


def recorded(run: Run) -> Recorded:
    """What a recorded run did, by link."""
    links = [step for step in run.steps if step.kind == "link"]
    return Recorded(
        {step.name: step.outcome for step in links},
        {step.name: step.error for step in links if step.error},
    )


def ended(run: Run) -> str:
    """How a run ended as far as its links are concerned: storages are not tried."""
    return "done" if run.status == "partial" else run.status


def tried_vcon(subject: Subject, tried: Tried, seconds: float) -> TriedVcon:
    """One vCon's result."""
    after, before = tried.after, tried.before
    was = ended(subject.run) if subject.run else before.ended if before else "as given"
    found = list(_outcome(was, after))
    view = before.view if before else tried.given
    found += [
        Difference(part=part, change=change, label=KNOWN.text(label))
        for part, change, label in differences(view, after.view)
    ]
    return TriedVcon(
        vcon=subject.vcon,
        chain=subject.chain,
        run=subject.run.run_id if subject.run else None,
        compared_with="recorded run"
        if subject.run
        else "running configuration"
        if before
        else "the vCon as given",
        before=was,
        after=after.ended,
        same=not found,
        differences=found[:MOST_DIFFERENCES],
        steps=[_step(step) for step in after.steps],
        seconds=round(seconds, 3),
    )


def _step(step: StepTried) -> TriedStep:
    redacted = {"why": KNOWN.sentence(step.why), "error": KNOWN.sentence(step.error)}
    return TriedStep(**(step.model_dump() | redacted))


def ended_early(subject: Subject, why: str, seconds: float) -> TriedVcon:
    """The result of a vCon whose link has hung, or has ended the process."""
    was = ended(subject.run) if subject.run else "not known"
    error = Difference(part="error", change="added", label=KNOWN.text(why))
    return TriedVcon(
        vcon=subject.vcon,
        chain=subject.chain,
        run=subject.run.run_id if subject.run else None,
        compared_with="recorded run" if subject.run else "the vCon as given",
        before=was,
        after="failed",
        same=False,
        differences=[error],
        seconds=round(seconds, 3),
    )


def _outcome(was: str, after: Passage) -> list[Difference]:
    found = []
    if was not in ("as given", after.ended):
        at = f" at {after.steps[-1].link}" if after.ended != "done" and after.steps else ""
        label = f"{was} -> {after.ended}{at}"
        found.append(Difference(part="outcome", change="changed", label=label))
    if after.ended == "failed" != was:
        found.append(Difference(part="error", change="added", label=KNOWN.text(after.error)))
    return found


def link_plans(loaded: Loaded, told: Mapping[str, How], *, is_recorded: bool) -> list[LinkPlan]:
    """How the links of the tried chains are treated."""
    instead: How = "stub" if is_recorded else "skip"
    plans = []
    for chain, links in loaded.after.items():
        for link in links:
            how, why = ("run", "") if link.pure else (instead, NOT_PURE)
            if link.error:
                how, why = instead, f"cannot be loaded: {link.error}"
            if link.link in told and not (link.error and told[link.link] == "run"):
                how, why = told[link.link], "as told"
            plan = LinkPlan(
                chain=chain, link=link.link, module=link.module, how=how, why=KNOWN.sentence(why)
            )
            plans.append(plan)
    return plans


def notes_on(subjects: Sequence[Subject], running: PipelineConfig) -> list[str]:
    """What to bear in mind; blocks for the configuration's hash."""
    others = sum(1 for each in subjects if each.run and each.run.config_hash != running.hash)
    if not others:
        return []
    return [
        f"{others} of {len(subjects)} runs were made with another configuration than the running"
        " one: what its links made cannot always be told from what came in with the vCon"
    ]


def verdict(result: TrialResult) -> TrialResult:
    """The result with its totals and verdict."""
    changed = [each for each in result.vcons if not each.same]
    failed = [each for each in changed if each.after == "failed" != each.before]
    result.totals = Totals(
        tried=len(result.vcons),
        same=len(result.vcons) - len(changed),
        changed=len(changed),
        failed=len(failed),
        not_tried=len(result.not_tried),
    )
    if not result.vcons:
        result.verdict = "nothing tried"
    elif failed:
        result.verdict = "fails"
    else:
        result.verdict = "changed" if changed else "same"
    return result
