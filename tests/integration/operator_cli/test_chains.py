"""`pause`, `resume`, `pauses`, `drain`, `undrain`, `replicas`: examples, texts and exit codes."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from app.operator_cli.commands.chains import COMMANDS
from pipeline.redis_client import keys

if TYPE_CHECKING:
    from tests.integration.support.operator_scene import OperatorScene, Ran

HOUR = 3600
CHANGE = "--yes --reason 'a test'"
EXAMPLES = {command.name: command.example for command in COMMANDS}


def registered(operator: OperatorScene, host: str, **fields: object) -> str:
    """A service process without workers of its own, as it writes itself; its id."""
    replica_id = f"{host}:7:1800000000000"
    told = {"id": replica_id, "kind": "serve", "host": host, **fields}
    seconds, _ = operator.redis.time()
    row = {name: json.dumps(value) for name, value in told.items()}
    row["seen"] = str((seconds + HOUR) * 1000)  # after the drain to come, however slow this is
    operator.redis.hset(keys.process(replica_id), mapping=row)
    operator.redis.sadd(keys.PROCESSES, replica_id)
    return replica_id


async def run(operator: OperatorScene, line: str, code: int = 0) -> Ran:
    """Run a command that ends with this exit code."""
    ran = await operator.cli(line)
    assert ran.code == code, ran.err
    return ran


async def test_each_example_does_what_it_says(operator: OperatorScene) -> None:
    """In the order in which an operator gives them; the audit has the reasons."""
    web = registered(operator, "web-1", workers=["w1"], slots=4, version="1.2.3", joined=True)
    paused = await run(operator, EXAMPLES["pause"])
    assert paused.out.startswith("chain main is paused until 20")
    assert "the CRM is down" in (await run(operator, EXAMPLES["pauses"])).out
    assert "chain main claims again" in (await run(operator, EXAMPLES["resume"])).out
    drained = await run(operator, EXAMPLES["drain"])
    assert drained.out.splitlines() == [
        f"replica {web} is drained without an end",
        "it holds nothing",
    ]
    shown = (await run(operator, EXAMPLES["replicas"])).out
    assert all(text in shown for text in (web, "1.2.3", "0/4", "drained without an end"))
    assert f"replica {web} claims again" in (await run(operator, EXAMPLES["undrain"])).out
    events = (await run(operator, "audit --json")).json["events"]
    told = [(each["action"], each["target"], each["detail"]["reason"]) for each in events]
    assert told == [
        ("undrain", "web-1", "the machine stays"),
        ("drain", "web-1", "the machine is replaced"),
        ("resume", "main", "the CRM is back"),
        ("pause", "main", "the CRM is down"),
    ]


async def test_what_a_replica_holds_is_shown(operator: OperatorScene) -> None:
    """By `replicas`, and by `drain`, which ends with 1 if it was to wait for it."""
    registered(operator, "web-1", workers=["w1"], slots=4)
    operator.redis.hset(keys.inflight("w1"), "vcon-1", "1\nrun-1\nin\nvcon-1")
    for line in ("replicas", f"drain web {CHANGE}"):
        shown = (await run(operator, line)).out
        assert "vcon-1   main" in shown
    ran = await run(operator, f"drain web --wait 1s {CHANGE}", code=1)
    assert "it holds 1 in flight" in ran.out
    assert "holds 1 run; the oldest: vCon vcon-1, chain main" in ran.err


async def test_replicas_that_differ_are_told(operator: OperatorScene) -> None:
    """In configuration, actions or version, beside the problems of each."""
    registered(operator, "a", config_hash="1", actions="x", postgres="no answer", notes=["odd"])
    registered(operator, "b", config_hash="2", actions="x", notes_count=3, redis_warnings=["w"])
    lines = (await run(operator, "replicas")).out.splitlines()
    assert "replicas differ in config_hash: 1, 2" in lines
    assert not any("differ in actions" in line for line in lines)
    for told in ("Postgres: no answer", "odd", "3 further notes: run `check`", "w"):
        assert any(line.endswith(f":7:1800000000000: {told}") for line in lines), told


@pytest.mark.parametrize(
    ("line", "code", "told"),
    [
        (f"pause nowhere {CHANGE}", 4, "Unknown chain: nowhere; known: main"),
        (f"resume nowhere {CHANGE}", 4, "Unknown chain: nowhere; known: main"),
        (f"drain nowhere {CHANGE}", 4, "Unknown replica: nowhere; known: none"),
        ("pause main --yes", 4, "reason: say why"),
        ("pause main", 2, "confirm with --yes"),
    ],
)
async def test_what_is_wrong_is_named(
    operator: OperatorScene, line: str, code: int, told: str
) -> None:
    """Nothing is written."""
    assert told in (await run(operator, line, code)).err
    assert not operator.redis.exists(keys.PAUSED, keys.DRAINED)
