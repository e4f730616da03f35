"""The judge sees every way of breaking the promise: what it passes was kept."""

from __future__ import annotations

import shutil
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from devstack.chaos.catalogue import SCENARIOS
from devstack.chaos.system.log_lines import unexpected_lines
from devstack.chaos.verdict.broken import BREAKS, CHECKOUT, Break, break_build
from devstack.chaos.verdict.verdict import Evidence, judge
from devstack.chaos.waiting import ChaosError

if TYPE_CHECKING:
    from pathlib import Path

BOTH = frozenset({"first", "second"})
STORED = Evidence(
    fed={"a": "pass"},
    storages=BOTH,
    saved={"a": BOTH},
    egress=Counter("a"),
    documents={"a"},
    recorded={"a"},
)
NOWHERE = replace(STORED, saved={}, egress=Counter())
DEAD = replace(NOWHERE, dead={"a": "RuntimeError: no"})
REFUSED = replace(NOWHERE, refused={"a": "ConnectionError: down"})
HALTED = replace(NOWHERE, fed={"a": "halt"}, halted={"a"}, documents=set())
QUEUED = replace(NOWHERE, queued={"a"}, recorded=set())


@pytest.mark.parametrize(
    ("evidence", "ending"),
    [
        (STORED, "stored"),
        (DEAD, "dead"),
        (REFUSED, "dead"),
        (HALTED, "halted"),
        (QUEUED, "queued"),
    ],
)
def test_the_promise(evidence: Evidence, ending: str) -> None:
    """Each of the promised endings is good, and counted as what it is."""
    verdict = judge(evidence)
    assert verdict.good
    assert verdict.endings == {ending: 1}


@pytest.mark.parametrize(
    ("evidence", "why"),
    [
        (NOWHERE, "it is nowhere"),
        (replace(STORED, saved={"a": {"first"}}), "in egress, but not in second"),
        (replace(STORED, saved={}), "in egress, but not in first, second"),
        (replace(NOWHERE, saved={"a": BOTH}), "it is nowhere"),
        (replace(STORED, bare={"a"}), "stored without what its links did"),
        (replace(STORED, documents=set()), "stored, but its document is gone"),
        (replace(DEAD, documents=set()), "dead, but its document is gone"),
        (replace(QUEUED, documents=set()), "queued, but its document is gone"),
        (replace(DEAD, dead={"a": ""}), "dead-lettered without a reason"),
        (replace(HALTED, fed={"a": "pass"}), "halted, but no link said so"),
    ],
)
def test_losses(evidence: Evidence, why: str) -> None:
    """Each broken promise is a loss, with the reason."""
    verdict = judge(evidence)
    assert verdict.lost == {"a": why}
    assert verdict.endings == {"lost": 1}
    assert not verdict.good


@pytest.mark.parametrize(
    ("evidence", "why"),
    [
        (replace(STORED, egress=Counter("aa")), "2 times in egress"),
        (replace(STORED, dead={"a": "why"}), "egress and dead letters"),
        (replace(STORED, refused={"a": "why"}), "egress and a storage's dead letters"),
        (replace(HALTED, egress=Counter("a")), "egress and halted"),
    ],
)
def test_doublings(evidence: Evidence, why: str) -> None:
    """A vCon has one ending, once."""
    verdict = judge(evidence)
    assert verdict.doubled == {"a": why}
    assert not verdict.good


def test_unrecorded_runs() -> None:
    """A vCon that has ended without a finished run in Postgres is not as promised."""
    verdict = judge(replace(STORED, recorded=set()))
    assert verdict.unrecorded == {"a"}
    assert not verdict.good


def test_every_vcon_counts() -> None:
    """One loss among many is found, and the figures add up."""
    fed = {str(number): "pass" for number in range(10)}
    evidence = Evidence(
        fed=fed,
        storages=BOTH,
        saved=dict.fromkeys(fed, BOTH),
        egress=Counter(set(fed) - {"7"}),
        documents=set(fed),
        recorded=set(fed),
    )
    verdict = judge(evidence)
    assert set(verdict.lost) == {"7"}
    assert verdict.endings == {"stored": 9, "lost": 1}
    assert verdict.fed == 10


@pytest.mark.parametrize("broken", BREAKS, ids=lambda each: each.name)
def test_a_build_can_be_broken(broken: Break, tmp_path: Path) -> None:
    """The file that a broken build is made from still says what is changed in it."""
    copy = tmp_path / broken.file
    copy.parent.mkdir(parents=True)
    shutil.copy(CHECKOUT / broken.file, copy)
    break_build(tmp_path, broken)
    assert broken.says not in copy.read_text()
    assert broken.event in {scenario.event for scenario in SCENARIOS}


def test_an_unbreakable_build(tmp_path: Path) -> None:
    """A file that does not say it any more is an error, not a build that is quietly whole."""
    copy = tmp_path / BREAKS[0].file
    copy.parent.mkdir(parents=True)
    copy.write_text("return 0")
    with pytest.raises(ChaosError, match="to break the build"):
        break_build(tmp_path, BREAKS[0])


def test_tracebacks_of_plugins_are_expected() -> None:
    """Those of the service's own code are not, nor what the interpreter prints by itself."""
    plugin = '{"event":"plugin failed","logger":"pipeline.plugins.errors","exception":[]}'
    engine = '{"event":"claim failed","logger":"pipeline.worker.worker","exception":[]}'
    plain = '{"event":"joined","logger":"core.phoenix.channel"}'
    printed = "Exception ignored; Traceback (most recent call last):"
    assert unexpected_lines(f"{plugin}\n{engine}\n{plain}\n{printed}") == [engine, printed]
