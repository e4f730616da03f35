"""The plan of a run: what comes next, and what an outcome means."""

import pytest

from pipeline.config.parser import Chain, LinkStep, PluginSpec, StorageSpec
from pipeline.runs.plan import (
    Progress,
    RunLink,
    Save,
    Settle,
    after_failure,
    after_link,
    after_save,
    next_move,
    outcome,
)

VCON = "018f3a52-1111-8aaa-8bbb-0123456789ab"
OTHER = "018f3a52-2222-8aaa-8bbb-0123456789ab"


def a_chain(links: str = "", storages: str = "") -> Chain:
    """A chain with one link and one storage for each letter."""
    return Chain(
        "main",
        links=tuple(LinkStep(name, PluginSpec(name, "m")) for name in links),
        storages=tuple(StorageSpec(name, "m") for name in storages),
    )


@pytest.mark.parametrize(
    ("chain", "progress", "move"),
    [
        (a_chain(), Progress(VCON), Settle("done")),
        (a_chain("ab"), Progress(VCON), RunLink(0)),
        (a_chain("ab"), Progress(VCON, links_done=1), RunLink(1)),
        (a_chain("ab"), Progress(VCON, links_done=2), Settle("done")),
        (a_chain("a", "xy"), Progress(VCON), RunLink(0)),
        (a_chain("a", "xy"), Progress(VCON, links_done=1), Save(("x", "y"))),
        (a_chain("", "xy"), Progress(VCON), Save(("x", "y"))),
        (a_chain("", "xy"), Progress(VCON, saved=frozenset("x")), Save(("y",))),
        (a_chain("", "xy"), Progress(VCON, saved=frozenset("xy")), Settle("done")),
        (
            a_chain("", "xy"),
            Progress(VCON, saved=frozenset("x"), refused=frozenset("y")),
            Settle("partial"),
        ),
        (a_chain("", "xy"), Progress(VCON, refused=frozenset("xy")), Settle("partial")),
        (a_chain("ab", "x"), Progress(VCON, links_done=1, ended="halted"), Settle("halted")),
        (a_chain("ab", "x"), Progress(VCON, ended="failed"), Settle("failed")),
        (a_chain("a", "x"), Progress(VCON, 1, ended="failed"), Settle("failed")),
    ],
)
def test_the_next_move_follows_from_how_far_it_is(chain, progress, move):
    """Links first, then all storages that have not been tried, then the end."""
    assert next_move(chain, progress) == move


@pytest.mark.parametrize("same", [VCON, VCON.upper(), OTHER])
def test_a_uuid_goes_on(same):
    """The uuid that a link returns is the current one, as it is spelt."""
    after = after_link(Progress(VCON, links_done=3), same)
    assert after == Progress(same, links_done=4)


@pytest.mark.parametrize("falsy", [None, False, "", 0, [], {}])
def test_something_falsy_halts(falsy):
    """The link is done, the vCon stays the current one, and the run is over."""
    assert after_link(Progress(VCON), falsy) == Progress(VCON, links_done=1, ended="halted")


@pytest.mark.parametrize(
    "odd",
    [
        True,
        1,
        "abc",
        b"x",
        [VCON],
        f"{{{VCON}}}",
        VCON.replace("-", ""),
        f"{VCON}\n",
        f"vcon:{VCON}",
    ],
)
def test_anything_else_fails_with_a_clear_reason(odd):
    """The link does not count as done, and the reason shows what it returned."""
    after = after_link(Progress(VCON, links_done=2), odd)
    assert (after.ended, after.links_done, after.vcon) == ("failed", 2, VCON)
    assert "returns a vCon uuid or None, but this returned" in after.error
    assert repr(odd)[:80] in after.error


def test_a_reason_has_an_end():
    """What a link returned is shown in part when it is long."""
    assert len(after_link(Progress(VCON), "x" * 10_000).error) < 200


def test_a_failure_counts_nothing_as_done():
    """The progress is as before, but over, with the reason."""
    before = Progress(VCON, 1, saved=frozenset("x"))
    assert after_failure(before, "no") == Progress(
        VCON, 1, saved=frozenset("x"), ended="failed", error="no"
    )


def test_storages_add_up():
    """What was saved or refused before stays so."""
    before = Progress(VCON, saved=frozenset("a"), refused=frozenset("b"))
    after = after_save(before, frozenset("c"), frozenset("d"))
    assert (after.saved, after.refused) == (frozenset("ac"), frozenset("bd"))


@pytest.mark.parametrize(
    ("ended", "expected"), [(None, "ok"), ("halted", "halted"), ("failed", "failed")]
)
def test_a_links_outcome_is_what_it_did_to_the_run(ended, expected):
    """Going on is ok; the two other ways are named as such."""
    assert outcome(Progress(VCON, ended=ended)) == expected
