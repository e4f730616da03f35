"""Every built-in plugin by six rules; `make check-plugins` tries them by all."""

from __future__ import annotations

from pathlib import Path

from devstack.conformance.rules import chosen
from devstack.servers.postgres import Postgres
from tests.check_plugins import tried
from tests.integration.support.built_in_cases import CASES, Counterparts
from tests.unit.project.test_plugin_docs import SOURCES

RULES = ("vCon gone", "run twice", "effect", "no files", "closes")


def test_every_built_in_plugin_has_a_case() -> None:
    """A new plugin needs options and a counterpart in `built_in_cases.py`."""
    assert set(CASES) == {source.module for source in SOURCES}


def test_every_built_in_plugin_keeps_the_rules(
    redis_url: str, postgres_server: Postgres, tmp_path: Path
) -> None:
    """Each in a process of its own, with a counterpart behind the proxy."""
    parts = Counterparts(tmp_path, lambda: postgres_server)
    try:
        broken = {
            (case.module, each.rule.name): each.verdict
            for case, checked in tried(sorted(CASES), chosen(RULES), redis_url, parts)
            for each in checked
            if each.verdict.outcome in ("fail", "not tried")
        }
    finally:
        parts.close()
        postgres_server.drop_database("conformance")
    assert broken == {}
