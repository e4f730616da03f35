"""How many commands one vCon sends to Redis, on which a chain's speed depends."""

import hashlib
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from redis import Redis

from benchmarks.chain import plugins_like_vcon_server
from links import tag
from pipeline.redis_client.script_texts import script_texts
from storage import file
from tests.integration.support.pipeline_fixtures import Scene, configured, link, storage

pytestmark = pytest.mark.usefixtures("at_once")

VCONS = 20
THROUGH_LIB = {"claim": 1, "JSON.GET vcon": 2, "journal": 1, "settle": 1}
"""Links that use `lib` only share one read and one checkpoint; the storage reads again."""
BY_THEMSELVES = {"claim": 1, "JSON.GET vcon": 3, "journal": 2, "TYPE pc:cancel": 1, "settle": 1}
"""Each link reads and writes for itself, so the storages start after a look for a cancellation."""
TIMED = ("SET pc:step", "DEL pc:step", "renew", "HGETALL pc:inflight")
"""Sent by time, not by vCon: reports of runs that take 50 ms, the lease, a look at the claims."""


def commands_until(monitor: Any, last: str) -> Counter[str]:
    """What clients have sent since the monitor began, without what scripts do inside Redis."""
    names = {hashlib.sha1(text.encode()).hexdigest(): name for name, text in script_texts().items()}
    sent: Counter[str] = Counter()
    for seen in monitor.listen():
        if seen["command"] == last:
            return sent
        if seen["client_type"] != "lua":
            words = seen["command"].split(" ", 2)
            key = ":".join((words[1] if words[1:] else "").split(":")[:2])
            key = key if key.startswith("pc:") else key.partition(":")[0]
            sent[names.get(key) or f"{words[0]} {key}".strip()] += 1
    raise AssertionError("the monitor ended early")


@pytest.mark.parametrize(
    ("plugin", "expected"), [(tag, THROUGH_LIB), (plugins_like_vcon_server, BY_THEMSELVES)]
)
async def test_a_vcon_costs_few_commands(
    scene: Scene, client: Redis, plugin: Any, expected: dict[str, int], tmp_path: Path
) -> None:
    """Claim, two links, a storage, egress and settlement send this and nothing else per vCon."""
    through_lib = getattr(plugin, "only_through_lib", False)
    links = [
        link(plugin.run, name, options={"tags": [name]}, only_through_lib=through_lib)
        for name in ("one", "two")
    ]
    kept = storage(lambda vcon_uuid, _: file.save(vcon_uuid, {"path": str(tmp_path)}))
    await scene.feed(count=VCONS)
    with client.monitor() as monitor:
        await scene.start(configured(links=links, storages=[kept]), concurrency=1)
        for _ in range(VCONS):
            assert (await scene.ended()).status == "done"
        client.echo("over")
        sent = commands_until(monitor, "ECHO over")
    assert len(scene.elements("out")) == VCONS
    # what the worker sends once, such as a script's text, is less than one for each vCon
    each = {name: count // VCONS for name, count in sent.items() if name not in TIMED}
    assert {name: count for name, count in each.items() if count} == expected, sent
