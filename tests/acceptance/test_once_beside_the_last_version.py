"""A step that must not be repeated, killed in this version, and taken over by the last one."""

from __future__ import annotations

import asyncio
from pathlib import Path

import orjson
from redis import Redis

from pipeline.redis_client import keys
from pipeline.runs.effects.replaying import as_told
from tests.acceptance.test_mixed_versions import last_version
from tests.integration.app.test_once_killed import start
from tests.integration.support.pipeline_fixtures import a_vcon
from tests.integration.support.workers import PATIENCE, Start, bury

__all__ = ["last_version", "start"]

CONFIG = """
links: {sends: {module: sends_once}}
chains: {main: {links: [sends], ingress_lists: [in], max_attempts: 9}}
"""
SENDS = """
import os, pathlib
def run(vcon_uuid, link_name, opts):
    with pathlib.Path(os.environ["SENT"]).open("a") as file:
        file.write("again\\n")
    return vcon_uuid
"""


def test_the_last_version_does_not_repeat_it(
    start: Start, last_version: Path, redis_url: str, tmp_path: Path
) -> None:
    """It finds no attempt left, and this version needs a word for a replay of its dead letter."""
    (old := tmp_path / "old").mkdir()
    (old / "sends_once.py").write_text(SENDS)
    (config := old / "config.yml").write_text(CONFIG)
    with Redis.from_url(redis_url, decode_responses=True, socket_timeout=2 * PATIENCE) as redis:
        uuid = str((vcon := a_vcon())["uuid"])
        redis.json().set(keys.vcon(uuid), ".", vcon)
        redis.rpush("in", uuid)
        one = start("w1", HANGS="1")
        assert one.stdout is not None
        assert one.stdout.readline() == b"sent\n"
        one.kill()
        one.wait(PATIENCE)
        asyncio.run(bury(redis_url, "w1"))
        own = {"PYTHONPATH": str(old), "CONSERVER_CONFIG_FILE": str(config)}
        start("w2", "--suspects", root=last_version.parent, **own)
        letters = keys.dead_letters("in")
        assert redis.blmove(letters, letters, PATIENCE) == uuid
        reason = orjson.loads(redis.hget(keys.reasons(letters), uuid))
    assert len((tmp_path / "sent").read_text().splitlines()) == 1
    assert "the last time link sends had begun at 20" in reason["error"]
    assert as_told(reason)["uncertain"] is True
    assert as_told(reason)["attempts"] == 2
