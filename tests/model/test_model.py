"""The protocol of custody has no fault within the bounds, and each rule of it is needed."""

import pytest

from tests.model.rules import NEEDED, Rules, without
from tests.model.scenarios import scenarios
from tests.model.search import Scenario, search

EVERY = {scenario.name: scenario for scenario in scenarios()}


@pytest.mark.parametrize("scenario", EVERY.values(), ids=EVERY)
def test_the_protocol_has_no_fault(scenario: Scenario) -> None:
    """Nothing accepted is lost, nothing settled runs again, and each state leads to rest."""
    found = search(scenario, Rules())
    assert not found.fault, "\n".join((found.fault, *found.trace))
    assert found.quiet


REFUTED = {
    "commit_before_answer": ("accept", "lost"),
    "storage_before_release": ("Postgres away", "lost"),
    "postgres_before_redis": ("Postgres away", "lost"),
    "gate_on_claims": ("settle", "run again"),
    "take_out_before_approval": ("settle", "run again"),
    "latest_row_counts": ("two contents", "stays open"),
    "retention_closes_void_rows": ("retention", "run again"),
    "superseded_is_fenced": ("two servers", "never answered"),
    "named_rows_are_kept": ("recover", "lost"),
    "stale_scripts_are_refused": ("two contents", "lost"),
    "generation_is_compared": ("two servers", "lost"),
    "later_rows_are_left": ("replay", "run again"),
    "known_by_ref": ("two contents", "stays open"),
    "looks_raise_the_counter": ("the same server", "lost"),
    "taken_out_by_ref": ("delete", "run again"),
    "tokens_fence_releases": ("fail", "stays open"),
    "generation_fences_release": ("fail", "lost"),
    "known_by_content": ("two callers, older data", "run again"),
}
"""For each rule: a scenario that shows what happens without it, and a part of the fault's text."""


@pytest.mark.parametrize("rule", REFUTED)
def test_without_a_rule_the_search_finds_a_fault(rule: str) -> None:
    """The search would notice if the protocol were wrong."""
    scenario, fault = REFUTED[rule]
    found = search(EVERY[scenario], without(rule))
    assert fault in found.fault
    assert found.trace


def test_each_rule_that_can_be_left_out_is_refuted() -> None:
    """The table above is complete."""
    assert set(NEEDED) == set(REFUTED)


def test_a_trace_is_a_readable_list_of_moves() -> None:
    """The shortest one, from the request to the loss."""
    found = search(EVERY["accept"], without("commit_before_answer"))
    assert found.trace[:5] == (
        "request 1 (content 1): sent",
        "request 1 (content 1): ingest script on server 1: new",
        "request 1 (content 1): answered 2xx",
        "request 1 (content 1): its service process is killed",
        "FLUSHALL",
    )
