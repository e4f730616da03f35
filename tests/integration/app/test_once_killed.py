"""`kill -9` in the middle of a step that must not be repeated: real workers, a recorder outside."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest
from redis import Redis

from pipeline.redis_client import keys
from tests.integration.app.test_bootstrap_worker import POSTGRES
from tests.integration.support.pipeline_fixtures import a_vcon
from tests.integration.support.workers import PATIENCE, Start, bury, workers

CONFIG = """
links: {sends: {module: sends_once}}
chains:
  main: {links: [sends], ingress_lists: [in], egress_lists: [out]}
  again: {links: [sends], ingress_lists: [again], egress_lists: [out], repeat_uncertain: 1}
"""
SENDS = """
import os, pathlib, time
from lib import effects
effect = "once"
def run(vcon_uuid, link_name, opts):
    sent = pathlib.Path(os.environ["SENT"])
    with sent.open("a") as file:
        file.write(f"{vcon_uuid} {effects.key()}\\n")
    if os.environ.get("HANGS"):
        os.write(1, b"sent\\n")
        time.sleep(1000)
    return vcon_uuid
"""


@pytest.fixture
def start(tmp_path: Path, redis_url: str) -> Iterator[Start]:
    """Starts workers; those that still run after the test are killed."""
    variables = {**POSTGRES, "REDIS_URL": redis_url, "SENT": str(tmp_path / "sent")}
    with workers(tmp_path, CONFIG, {"sends_once": SENDS}, variables) as started:
        yield started


@pytest.mark.parametrize("name", ["in", "again"])
def test_a_worker_is_killed_in_the_step(
    start: Start, redis_url: str, tmp_path: Path, name: str
) -> None:
    """What was sent is not sent again, and its dead letter says so; or the chain wants it again."""
    with Redis.from_url(redis_url, decode_responses=True, socket_timeout=2 * PATIENCE) as redis:
        vcon: dict[str, Any] = a_vcon()
        redis.json().set(keys.vcon(vcon["uuid"]), ".", vcon)
        redis.rpush(name, vcon["uuid"])
        one = start("w1", HANGS="1")
        assert one.stdout is not None
        assert one.stdout.readline() == b"sent\n"
        one.kill()
        one.wait(PATIENCE)
        asyncio.run(bury(redis_url, "w1"))
        start("w2", "--suspects")
        ended = keys.dead_letters(name) if name == "in" else "out"
        assert redis.blmove(ended, ended, PATIENCE) == vcon["uuid"]
        sent = (tmp_path / "sent").read_text().split("\n")[:-1]
        if name == "in":
            assert len(sent) == 1
            reason = orjson.loads(redis.hget(keys.reasons(ended), vcon["uuid"]))
            assert "link sends may have happened: it is not repeated" in reason["error"]
        else:
            assert len(sent) == 2
            assert sent[0] == sent[1]  # the same key: a receiver knows the repetition
