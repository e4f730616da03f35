"""The commands about failures and replays, beside a worker that fails and mends."""

from __future__ import annotations

import asyncio
import json
import re
import shlex
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from app.operator_cli.commands.failures import COMMANDS
from core.operator_interfaces import Call
from pipeline.redis_client import keys
from tests.integration.support.dead_letters_scene import Plugins, failed
from tests.integration.support.operations_scene import Operations, operations
from tests.integration.support.operator_scene import AUTHOR
from tests.integration.support.pipeline_fixtures import PATIENCE

if TYPE_CHECKING:
    from tests.integration.support.operator_scene import OperatorScene

ENTRYPOINT = Path(__file__).parents[3] / "entrypoint.py"
SECOND = "link second: OSError"
SURE = "--yes --reason 'the vendor is back'"


@pytest.fixture
def plugins() -> Plugins:
    """Plugins that do not fail yet."""
    return Plugins()


@pytest.fixture
async def ops(
    redis_url: str, plugins: Plugins, operator: OperatorScene
) -> AsyncIterator[Operations]:
    """A worker's half of the pipeline: the chain `main`, as in the commands' configuration."""
    text = operator.config.read_text()
    operator.config.write_text(text.replace("main: {", "main: {max_attempts: 1, "))
    async with operations(redis_url) as opened:
        opened.configure(plugins.configuration())
        yield opened


async def test_from_the_table_to_the_end(
    operator: OperatorScene, ops: Operations, plugins: Plugins
) -> None:
    """Look, count, replay, look again: each is one command."""
    *_, last = await failed(ops, plugins, "second", count=12)
    await failed(ops, plugins, "first", count=2)
    table = await operator.cli("failures")
    [row] = [line for line in table.out.splitlines() if "second is down" in line]
    fingerprint = row.split()[0]
    assert (table.code, "14 dead letters by cause" in table.out, last in row) == (0, True, True)
    one = await operator.cli(f"failure {fingerprint} --limit 2")
    assert (one.code, one.out.count("OSError: second is down")) == (0, 3)
    counted = await operator.cli(f"replay --cause {fingerprint[:6]} --dry-run")
    assert (counted.code, "dry run: nothing was replayed" in counted.out) == (0, True)
    await ops.workers.start(ops.configuration)
    done = await operator.cli(f"replay --cause {fingerprint} --canary 3 --rate 1000/s {SURE}")
    assert (done.code, "done; 12 replayed, canary 3 of 3 succeeded" in done.out) == (0, True)
    assert f"canary of 3 for {SECOND}" in done.err
    listed = await operator.cli("replays")
    assert (listed.code, "the vendor is back" in listed.out) == (0, True)
    left = (await operator.cli("failures --json")).json
    assert [(each["message"], each["count"]) for each in left["causes"]] == [("first is down", 2)]


async def test_a_cause_that_is_still_there_is_exit_1(
    operator: OperatorScene, ops: Operations, plugins: Plugins
) -> None:
    """The command says how many failed again; everything else stays."""
    await failed(ops, plugins, "second", count=5)
    plugins.failing = {"second"}
    await ops.workers.start(ops.configuration)
    ran = await operator.cli(f"replay --cause '{SECOND}' --canary 2 {SURE}")
    assert (ran.code, "2 of 2 failed again" in ran.out) == (1, True)
    assert (await operator.cli("failures --json")).json["total"] == 5
    assert plugins.called().count("second") == 2


async def test_steps_that_may_have_happened_are_exit_1(
    operator: OperatorScene, ops: Operations
) -> None:
    """If nothing else was there to replay; the sentence names the option of the command."""
    vcon_uuid = await ops.ingest()
    reason = {"error": "unknown", "list_name": "in", "chain": "main", "uncertain": True}
    ops.client.rpush("DLQ:in", vcon_uuid)
    ops.client.hset(keys.reasons("DLQ:in"), vcon_uuid, json.dumps(reason))
    ran = await operator.cli(f"replay --cause unknown {SURE}")
    assert (ran.code, "done; 0 replayed" in ran.out) == (1, True)
    told = " ".join(ran.out.split())
    assert "(--uncertain repeat), or the run goes on after it (--uncertain skip)" in told
    again = await operator.cli(f"replay --cause unknown --canary 0 --uncertain repeat {SURE}")
    assert (again.code, "done; 1 replayed" in again.out) == (0, True)


async def test_another_terminal_stops_it(
    operator: OperatorScene, ops: Operations, plugins: Plugins
) -> None:
    """While the canary waits, as no worker is there."""
    await failed(ops, plugins, "second", count=2)
    async with operator.api() as api, asyncio.timeout(PATIENCE):
        begun = asyncio.create_task(operator.cli(f"replay --list in --canary 1 {SURE}"))
        while not (going := re.findall(r"pc:replay:(\w+)", " ".join(operator.redis.keys()))):  # noqa: ASYNC110 -- Redis sends no event for it
            await asyncio.sleep(0.01)
        stop = {"id": going[0]}
        await api.perform("replay_stop", stop, Call(AUTHOR, "it is down again"))
        await begun
    [record] = (await operator.cli("replays --json")).json["replays"]
    assert (record["state"], record["by"].startswith("cli:")) == ("stopped", True)
    assert "it is down again" in record["error"]
    ended = await operator.cli(f"replay-stop {going[0]} {SURE}")
    assert (ended.code, "has ended: stopped" in ended.err) == (4, True)


@pytest.mark.parametrize(
    ("line", "code", "told"),
    [
        ("failures --cause nothing", 4, "Unknown cause"),
        ("failures --list nothing", 4, "Unknown ingress list"),
        (f"replay {SURE}", 4, "say what to replay"),
        ("replay --list in", 2, "--yes"),
        (f"replay-stop 000000000000 {SURE}", 4, "Unknown replay"),
        (f"replay-stop '*' {SURE}", 4, "id"),
    ],
)
async def test_refusals(
    operator: OperatorScene, ops: Operations, line: str, code: int, told: str
) -> None:
    """Each says what was wrong; nothing is replayed."""
    ran = await operator.cli(line)
    assert (ran.code, told in ran.err) == (code, True), ran.err
    assert not operator.redis.exists("pc:replays")


async def test_the_examples_run(operator: OperatorScene, ops: Operations) -> None:
    """Those of `--help`, where vcon-server has left a dead letter."""
    ops.client.rpush("DLQ:in", await ops.ingest())
    codes = {each.name: (await operator.cli(each.example)).code for each in COMMANDS}
    assert codes.pop("replay-stop") == 4, "there is no such replay"
    assert set(codes.values()) == {0}


async def test_a_killed_command_loses_nothing(
    operator: OperatorScene, ops: Operations, plugins: Plugins
) -> None:
    """Each vCon is a dead letter or queued, and the same command replays the rest."""
    uuids = await failed(ops, plugins, "second", count=30)
    words = f"replay --cause '{SECOND}' --canary 0 --rate 8 {SURE}"
    operator.config.with_name("none").touch()  # ENV_FILE, which a process of its own reads
    command = await asyncio.create_subprocess_exec(
        sys.executable,
        str(ENTRYPOINT),
        *shlex.split(words),
        stderr=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
    )
    async with asyncio.timeout(PATIENCE):
        while len(ops.list("in")) < 4:  # noqa: ASYNC110 -- Redis sends no event for it
            await asyncio.sleep(0.01)
    command.kill()
    await command.wait()
    queued = ops.list("in")
    assert 0 < len(queued) < len(uuids)
    assert sorted(queued + ops.list("DLQ:in")) == sorted(uuids)
    [record] = (await operator.cli("replays --json")).json["replays"]
    assert (record["state"], record["ended"]) == ("running", None)
    await ops.workers.start(ops.configuration)
    done = await operator.cli(f"replay --cause '{SECOND}' --rate 1000 {SURE} --json")
    assert (done.code, done.json["replayed"]) == (0, len(uuids) - len(queued))
    assert {(await ops.workers.finished()).status for _ in uuids} == {"done"}
    assert ops.list("DLQ:in") == []
