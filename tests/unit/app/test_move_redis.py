"""`check --vcon-server`: what is in Redis, and what it means."""

from collections import Counter
from dataclasses import replace
from typing import Any

import pytest

from app.vcon_server.findings import Finding, Level
from app.vcon_server.redis_facts import ListFacts, RedisFacts
from app.vcon_server.redis_findings import UsedLists, of_redis

USED = UsedLists(ingress=["in", "b"], egress=["out"], storages=["files"])


def told(**changes: Any) -> list[Finding]:
    """The findings of a Redis that holds nothing but this, without those of level ok."""
    return [
        each
        for each in of_redis(replace(RedisFacts(), **changes), USED, "vcons")
        if each.level != "ok"
    ]


def list_of(name: str, **changes: int) -> dict[str, ListFacts]:
    """One list with two uuids in it."""
    return {name: replace(ListFacts(2, 2), **changes)}


@pytest.mark.parametrize(
    ("changes", "subject", "level", "words"),
    [
        ({"error": "away"}, "REDIS_URL", "stop", "away"),
        ({"has_json": False}, "JSON", "stop", "no JSON"),
        ({"losses": [("appendonly", "no", "yes")]}, "appendonly", "warn", "CONFIG SET"),
        ({"seen": 5, "total": 9}, "keys", "note", "5 of 9"),
        ({"types": Counter(string=3)}, "vCons", "warn", "September 2026: 3"),
        ({"members": Counter(expired=4)}, "vcons", "note", "without a vCon in Redis: 4"),
        ({"members": Counter(other=4)}, "vcons", "note", "no uuids: 4"),
        ({"index": 9, "index_expiring": 8}, "search index", "note", "8 of 9"),
        ({"contexts": 1200}, "context:*", "note", "1,200"),
        ({"own": 7}, "pc:*", "note", "no runs in progress"),
        ({"own": 7, "held": Counter({"pc:later": 2})}, "pc:*", "warn", "pc:later 2"),
        ({"own": 7, "held": Counter({"pc:later": 0})}, "pc:*", "note", "no runs in progress"),
        ({"more_lists": 3}, "lists", "warn", "not looked at: 3"),
        ({"wrong_types": {"in": ("string", "list")}}, "in", "stop", "must be a list"),
        ({"wrong_types": {"vcon:x": ("set", "ReJSON-RL")}}, "vcon:x", "warn", "a set"),
        ({"lists": list_of("in", without_vcon=1)}, "in", "warn", "without a vCon in Redis: 1"),
        ({"lists": list_of("in", length=900, without_vcon=1)}, "in", "warn", "1 of the first 2"),
        ({"lists": list_of("in", no_uuid=1)}, "in", "warn", "no uuids: 1"),
        ({"lists": list_of("DLQ:in")}, "DLQ:in", "note", "ingress_list=in"),
        ({"lists": list_of("DLQ:gone")}, "DLQ:gone", "warn", "no chain reads gone"),
        ({"lists": list_of("DLQ:storage:files")}, "DLQ:storage:files", "note", "repeated here"),
        ({"lists": list_of("DLQ:storage:x")}, "DLQ:storage:x", "warn", "no storage x"),
        ({"lists": list_of("run:main")}, "run:main", "note", "RunChain"),
        ({"lists": list_of("other")}, "other", "warn", "ingress_lists: [other]"),
        ({"lists": list_of("in,b")}, "in,b", "warn", "for list in in b; do"),
        ({"lists": list_of("in,$(x)")}, "in,$(x)", "warn", "leave it if another program"),
    ],
)
def test_one_thing(changes: dict[str, Any], subject: str, level: Level, words: str) -> None:
    """It is told under its name, with its level and what to do."""
    [finding] = told(**changes)
    assert (finding.subject, finding.level) == (subject, level)
    assert words in f"{finding.differs} {finding.remedy}"


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"lists": list_of("out", without_vcon=2)},
        {"lists": list_of("jobs", no_uuid=2)},
        {"lists": {"empty": ListFacts(0)}},
        {"members": Counter(bare=2, prefixed=2)},
        {"wrong_types": {}, "types": Counter({"ReJSON-RL": 4})},
    ],
)
def test_nothing_to_do(changes: dict[str, Any]) -> None:
    """What both servers read, and lists of other programs."""
    assert told(**changes) == []


def test_names_in_commands_are_quoted() -> None:
    """A list's name may hold anything; the command is copied into a shell."""
    used = UsedLists(ingress=["$(x)", "b c"], egress=[], storages=[])
    facts = RedisFacts(lists=list_of("$(x),b c"))
    [finding] = [each for each in of_redis(facts, used, "vcons") if each.level == "warn"]
    assert "for list in '$(x)' 'b c'; do redis-cli --raw LRANGE '$(x),b c' 0 -1" in finding.remedy
