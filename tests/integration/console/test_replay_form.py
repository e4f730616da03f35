"""The form by which dead letters are replayed."""

from __future__ import annotations

import asyncio
from typing import Any

import orjson
from redis import Redis

from pipeline.redis_client import keys
from tests.integration.console.console_scene import Operator
from tests.integration.support.pipeline_fixtures import PATIENCE, new_uuid

LETTERS = keys.dead_letters("in")


def uncertain_letter(client: Redis) -> str:
    """A dead letter of a step that may have happened; its uuid."""
    vcon_uuid = new_uuid()
    reason = {"error": "unknown", "list_name": "in", "chain": "main", "uncertain": True}
    client.rpush(LETTERS, vcon_uuid)
    client.hset(keys.reasons(LETTERS), vcon_uuid, orjson.dumps(reason))
    return vcon_uuid


def ids(client: Redis) -> list[str]:
    """The replays that there have been."""
    found: list[str] = client.zrange(keys.REPLAYS, 0, -1)
    return found


async def replayed(operator: Operator, client: Redis, how: str) -> Any:
    """The record of a replay that the form has begun, when it has ended."""
    before = set(ids(client))
    fields = {"list_name": "in", "cause": "unknown", "canary": "0", "rate": "50", "since": ""}
    answer = await operator.change("replay", uncertain=how, **fields)
    assert answer.status_code == 200, answer.text
    async with asyncio.timeout(PATIENCE):
        while True:
            for replay_id in set(ids(client)) - before:
                record: Any = orjson.loads(client.hget(keys.replay(replay_id), "record"))
                if record["ended"]:
                    return record
            await asyncio.sleep(0.01)


async def test_steps_that_may_have_happened(operator: Operator, client: Redis) -> None:
    """They are left unless the form says what is done with them; another answer is refused."""
    vcon_uuid = uncertain_letter(client)
    left = await replayed(operator, client, "")
    assert "1 dead letter has a step that may have happened" in left["error"]
    assert client.lrange(LETTERS, 0, -1) == [vcon_uuid]
    told = await operator.change("replay", list_name="in", cause="unknown", uncertain="perhaps")
    assert told.status_code == 400
    again = await replayed(operator, client, "repeat")
    assert (again["replayed"], again["uncertain"]) == (1, "repeat")
    assert client.lrange(LETTERS, 0, -1) == []
