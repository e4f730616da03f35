"""What a trial does with the links of a chain, and what of a recorded run it takes out first."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from pipeline.config.parser import PipelineConfig, parse
from pipeline.law.basis.records import RecordedBasis
from pipeline.operator.trial.messages import Tried
from pipeline.operator.trial.views import differences
from tests.integration.operator.trial_scene import (
    UUID,
    acting,
    acting_link,
    configured,
    request,
    tags,
    tried,
    vcon,
)

__all__ = ["acting_link"]


def tagging(*names: str, **more: Any) -> dict[str, Any]:
    """The link `tag` with these tags."""
    return {"module": "links.tag", "options": {"tags": list(names), **more}}


WEBHOOK = {"module": "links.webhook", "options": {"webhook-urls": ["http://127.0.0.1:9/"]}}
SUMMARY = {"type": "summary", "dialog": 0, "vendor": "openai", "body": "A call."}


def trial_of(after: PipelineConfig, before: PipelineConfig | None = None, **asked: Any) -> Tried:
    """The result of one trial."""
    [result] = tried(after, before, request(**asked))
    return result


def changes(result: Tried) -> list[tuple[str, str, str]]:
    """What differs between the stored vCon, or the running chain's result, and the trial."""
    before = result.before.view if result.before else result.given
    return differences(before, result.after.view)


def ways(result: Tried) -> dict[str, tuple[str, str]]:
    """How each link was treated, and its outcome."""
    return {step.link: (step.how, step.outcome) for step in result.after.steps}


def test_a_changed_option_changes_a_tag() -> None:
    """The tag of the recorded run goes, the new one comes; a tag of another origin stays."""
    stored = vcon(attachments=tags("a:a", "own:1"))
    old, new = configured({"tag": tagging("a")}), configured({"tag": tagging("b")})
    result = trial_of(new, old, document=stored, recorded={"tag": "ok"})
    assert changes(result) == [("tags", "removed", "a:a"), ("tags", "added", "b:b")]
    assert result.undone == ["tag"]


def test_the_same_configuration_changes_nothing() -> None:
    """What the pure links made is taken out, and made again."""
    stored = vcon(attachments=tags("a:a", "b:b", "own:1"), analysis=[SUMMARY])
    links = {"tag": tagging("a"), "then": tagging("b"), "analyze": WEBHOOK}
    outcomes = dict.fromkeys(links, "ok")
    result = trial_of(configured(links), document=stored, recorded=outcomes)
    assert changes(result) == []
    assert result.undone == ["tag", "then"]
    assert ways(result) == {"tag": ("run", "ok"), "then": ("run", "ok"), "analyze": ("stub", "ok")}


def test_a_given_vcon_is_compared_with_the_running_chain() -> None:
    """Both chains are tried on the same vCon."""
    old, new = configured({"tag": tagging("a")}), configured({"tag": tagging("a", "b")})
    result = trial_of(new, old)
    assert changes(result) == [("tags", "added", "b:b")]
    assert result.before is not None


def test_a_filter_that_halts() -> None:
    """The outcome of a pure link counts, and what comes after it is not reached."""
    jq = {"module": "links.jq_link", "options": {"filter": ".parties | length > 1"}}
    config = configured({"filter": jq, "tag": tagging("a")})
    result = trial_of(config, recorded={"filter": "ok", "tag": "ok"})
    assert result.after.ended == "halted"
    assert ways(result) == {"filter": ("run", "halted")}


@pytest.mark.parametrize(
    ("outcome", "ended", "error"),
    [("ok", "done", ""), ("halted", "halted", ""), ("failed", "failed", "as recorded")],
)
def test_other_links_end_as_they_are_recorded(outcome: str, ended: str, error: str) -> None:
    """A link that is not pure is not called: its recorded outcome takes its place."""
    result = trial_of(configured({"hook": WEBHOOK}), recorded={"hook": outcome})
    assert (result.after.ended, result.after.error) == (ended, error)
    assert ways(result) == {"hook": ("stub", outcome)}


def test_what_is_recorded_of_another_module_does_not_count() -> None:
    """The name of a link may stay while its module changes."""
    old, new = configured({"x": WEBHOOK}), configured({"x": {"module": "links.delay"}})
    step = (trial_of(new, old, recorded={"x": "halted"})).after.steps[0]
    assert (step.how, step.outcome) == ("skip", "skipped")
    assert step.why == "does not declare pure; what is recorded is of another module"


def test_what_the_caller_says_of_a_link_comes_first(acting_link: Path) -> None:
    """`run`, `stub` and `skip` by name."""
    links = {"tag": tagging("a"), "wait": {"module": "links.delay", "options": {"seconds": 0}}}
    recorded = {"tag": "ok", "wait": "halted"}
    config = configured(links)
    skipped, stubbed, unknown = tried(
        config,
        config,
        request(recorded=recorded, tag="skip", wait="run"),
        request(recorded=recorded, tag="stub", wait="skip"),
        request(tag="stub", wait="stub"),
    )
    assert ways(skipped) == {"tag": ("skip", "skipped"), "wait": ("run", "ok")}
    assert ways(stubbed) == {"tag": ("stub", "ok"), "wait": ("skip", "skipped")}
    assert [step.why for step in unknown.after.steps] == [
        "as told; nothing is recorded of it for this vCon"
    ] * 2


def test_other_members_and_the_time_to_live(acting_link: Path) -> None:
    """A link may change any member, and set a time to live, in memory only."""
    result = trial_of(acting(subject="new"), acting("nothing"))
    assert changes(result) == [("members", "added", "subject")]
    assert result.after.expires == 60


def test_a_large_vcon_is_taken_whole(acting_link: Path) -> None:
    """No pieces are staged: they would be other keys."""
    large = vcon(analysis=[{**SUMMARY, "body": "x" * 3_000_000}])
    result = trial_of(acting(subject="new"), acting("nothing"), document=large)
    assert changes(result) == [("members", "added", "subject")]


def test_another_vcon_is_not_followed(acting_link: Path) -> None:
    """A trial has one vCon."""
    result = trial_of(acting(other="01890000-0000-7000-8000-000000000002"))
    assert result.after.error == "it continues with another vCon, and a trial has one"


def test_a_link_that_cannot_be_loaded_is_skipped(acting_link: Path) -> None:
    """The result says why; the links after it run."""
    links = {"gone": {"module": "no_such_link"}, "tag": tagging("a")}
    first, second = trial_of(configured(links)).after.steps
    assert (first.how, second.how) == ("skip", "run")
    assert first.why.startswith("cannot be loaded: no module named 'no_such_link'")


GRANT = {"purpose": "training", "granted": True, "granted_at": "2026-11-01T12:00:00Z"}
BASIS = {"lawful_basis": "consent", "expiration": None, "purpose_grants": [GRANT]}
ATTACHED = {"purpose": "lawful_basis", "encoding": "json", "body": json.dumps(BASIS)}


def gated() -> PipelineConfig:
    """Two configured links, of which the first asks for a purpose."""
    links = {"tag": tagging("a") | {"requires": {"purpose": "training"}}, "then": tagging("b")}
    chains = {"main": {"links": list(links), "ingress_lists": ["calls"]}}
    return parse({"law": {"basis": {}}, "links": links, "chains": chains}, {})


def test_a_link_whose_purpose_the_law_does_not_allow_is_not_called() -> None:
    """Neither for the trial nor to find out what it made; others are."""
    result = trial_of(gated(), document=vcon(attachments=tags("a:a")), recorded={"tag": "ok"})
    tag, then = result.after.steps
    assert (tag.how, tag.why) == ("skip", "would be withheld: LawfulBasisMissingError for training")
    assert then.how == "run"
    assert result.undone == []
    allowed = trial_of(gated(), document=vcon(attachments=[ATTACHED]))
    assert ways(allowed) == {"tag": ("run", "ok"), "then": ("run", "ok")}


def test_what_was_recorded_beside_the_vcon_counts_in_a_trial() -> None:
    """A denial refuses what an attachment grants; a grant allows what nothing does."""
    at = datetime(2026, 11, 2, tzinfo=UTC)
    for granted, document in ((True, vcon()), (False, vcon(attachments=[ATTACHED]))):
        basis = RecordedBasis(1, UUID, granted, at, "training")
        asked = replace(request(document), bases=[basis])
        [result] = tried(gated(), None, asked)
        assert result.after.steps[0].how == ("run" if granted else "skip")
