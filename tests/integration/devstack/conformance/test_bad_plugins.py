"""For each rule of the conformance kit a plugin that breaks it."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from devstack.conformance import kit as kits
from devstack.conformance import proxy as proxies
from devstack.conformance.cases import Case
from devstack.conformance.kit import Checked, Kit, check
from devstack.conformance.proxy import ToxicProxy
from devstack.conformance.rules import RULES, chosen
from devstack.conformance.subject import context
from tests.canaries import canary
from tests.integration.support.http_stand_in import StandIn, stand_in

BAD = Path(__file__).parents[3] / "data" / "bad_plugins"
OPTIONS: dict[str, dict[str, Any]] = {
    "options missing": {"needed": True},
    "secrets": {"api_key": canary("key-of-a-bad-plugin-9c56")},
}
WITH_PEER = ("slow peer", "failing peer", "timeout")
LINE = {
    "closes": "bad_closes.py:11",
    "contract": "bad_contract",
    "vCon gone": "bad_vcon_gone.py:8",
    "forked": "bad_forked.py:10",
    "memory": "bad_memory.py:7",
    "no files": "bad_no_files.py:8",
    "secrets": "bad_secrets.py:10",
    "threads": "bad_threads.py:7",
    "samples": "bad_samples.py:8",
    "timeout": "bad_timeout.py:6",
}
"""The line that the verdict names."""


@pytest.fixture(scope="module")
def peer() -> Iterator[str]:
    """The address of a server that answers everything."""
    with stand_in(StandIn()) as server:
        yield server.base


@pytest.fixture
def trouble(monkeypatch: pytest.MonkeyPatch) -> None:
    """As many runs as show a growth, and replies late enough."""
    monkeypatch.setattr(kits, "RUNS", 520)
    monkeypatch.setattr(proxies, "LATENCY", 0.5)  # the pieces come apart on a busy machine, too


def module_of(rule: str) -> str:
    """The plugin that breaks it."""
    return f"bad_{rule.lower().replace(' ', '_')}"


def verdicts(case: Case, redis_url: str, *names: str) -> dict[str, Checked]:
    """The results of the rules."""
    with ToxicProxy() as proxy:
        made = Kit(case, context(), redis_url, proxy)
        return {each.rule.name: each for each in check(made, chosen(names))}


@pytest.mark.parametrize("rule", [each.name for each in RULES])
def test_a_plugin_that_breaks_the_rule(
    rule: str, redis_url: str, peer: str, trouble: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It fails that rule and is loaded otherwise; the verdict names the line to change."""
    monkeypatch.setattr(sys, "path", [str(BAD), *sys.path])
    options = {"url": f"{peer}/"} if rule in WITH_PEER else OPTIONS.get(rule, {})
    found = verdicts(Case(module_of(rule), "link", options), redis_url, rule)
    assert found[rule].verdict.outcome == "fail", found
    assert [name for name, each in found.items() if each.verdict.outcome == "fail"] == [rule]
    assert LINE.get(rule, module_of(rule)) in found[rule].verdict.where
