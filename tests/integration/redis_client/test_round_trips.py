"""How often a vCon makes the service ask Redis, which is what a chain's speed hangs on."""

from pathlib import Path
from typing import Any

import pytest
from redis import Redis

from benchmarks import plugins_like_vcon_server
from links import tag
from storage import file
from tests.integration.support.pipeline_fixtures import Scene, configured, link, storage

pytestmark = pytest.mark.usefixtures("at_once")

VCONS = 20
MOST = 7
"""Client commands for one vCon."""
ONCE = (
    "HELLO",
    "CLIENT",
    "SCRIPT",
    "SUBSCRIBE",
    "BLMOVE",
    "ECHO",
    "SET pc:worker",
    "SADD pc:workers",
)
"""What is sent for a connection, a script or a worker, however many vCons there are."""


def commands_until(monitor: Any, last: str) -> list[str]:
    """What clients have sent since the monitor began; what scripts do inside Redis is left out."""
    sent: list[str] = []
    for told in monitor.listen():
        if told["command"] == last:
            return sent
        if told["client_type"] != "lua" and not told["command"].startswith(ONCE):
            sent.append(told["command"])
    return sent


@pytest.mark.parametrize("plugin", [tag, plugins_like_vcon_server])
async def test_a_vcon_costs_few_round_trips(
    scene: Scene, client: Redis, plugin: Any, tmp_path: Path
) -> None:
    """Claimed, through two links, stored, forwarded and settled, one vCon at a time."""
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
    # the worker's own few, for its lease, are less than one for each vCon
    assert len(sent) // VCONS <= MOST, [command[:60] for command in sent]
