"""The index of dead letters by cause: written with the reasons, and brought in line with them."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator

import orjson
import pytest

from core.observability.failure_cause import OTHER, UNKNOWN, cause_of
from pipeline.admin.causes import CauseIndex
from pipeline.redis_client import keys
from tests.integration.support.dead_letters_scene import Plugins, failed, replay
from tests.integration.support.operations_scene import Operations, operations
from tests.integration.support.pipeline_fixtures import new_uuid

DEAD, REASONS, CAUSES = "DLQ:in", "pc:dead:DLQ:in", "pc:causes:DLQ:in"
OLD = {"error": "OSError: port 1", "cause": "link a: OSError", "kind": "link", "step": "a"}


@pytest.fixture
def plugins() -> Plugins:
    """Plugins that do not fail yet."""
    return Plugins()


@pytest.fixture
async def ops(redis_url: str, plugins: Plugins) -> AsyncIterator[Operations]:
    """An empty Redis, and the chain of the plugins."""
    async with operations(redis_url) as opened:
        opened.configure(plugins.configuration())
        yield opened


async def counts(ops: Operations, name: str = DEAD) -> dict[str, int]:
    """Dead letters by the message of their cause, and those that no cause is known of."""
    found = await CauseIndex(ops.redis).causes(name)
    named = {each.about.get("message", each.fingerprint): each.count for each in found.causes}
    return named | ({UNKNOWN: found.unknown} if found.unknown else {})


def left_over(ops: Operations) -> set[str]:
    """The keys of the index."""
    return {key for key in ops.client.keys("pc:cause*") if isinstance(key, str)}


async def test_a_failure_is_filed_under_its_cause(ops: Operations, plugins: Plugins) -> None:
    """With what it has in common with others, when it came up, and the newest dead letter."""
    *_, newest = await failed(ops, plugins, "second", count=3)
    await failed(ops, plugins, "first")
    found = await CauseIndex(ops.redis).causes(DEAD)
    assert (found.total, found.explained, found.unknown) == (4, 4, 0)
    [cause, _] = found.causes
    config_hash = orjson.loads(ops.client.lindex(keys.HISTORY, -1))["config_hash"]
    assert (
        cause.fingerprint
        == cause_of("link", "second", "OSError: second is down", config_hash).fingerprint
    )
    assert (cause.count, cause.newest, cause.label) == (3, newest, "link second: OSError")
    assert cause.first_seen <= cause.last_seen
    assert cause.reason["error"] == "OSError: second is down"
    assert await CauseIndex(ops.redis).lists() == [DEAD]


async def test_it_leaves_the_index_with_its_reason(ops: Operations, plugins: Plugins) -> None:
    """By a replay, a deletion, or when another program has taken it out of the list."""
    one, two, three = await failed(ops, plugins, "second", count=3)
    assert await replay(ops, vcon_uuids=[one]) == 1
    assert await counts(ops) == {"second is down": 2}
    await ops.index.delete(two, ["in", DEAD])
    assert await counts(ops) == {"second is down": 1}
    ops.client.lrem(DEAD, 1, three)
    await ops.sweep()
    assert left_over(ops) == set()


async def test_a_vcon_that_fails_again_moves_to_its_new_cause(
    ops: Operations, plugins: Plugins
) -> None:
    """It is counted once, under the cause of the later failure."""
    [vcon_uuid] = await failed(ops, plugins, "first")
    await replay(ops)
    plugins.failing = {"second"}
    await ops.work()
    assert await counts(ops) == {"second is down": 1}
    await ops.operations.enqueue([vcon_uuid], "in")
    plugins.failing = {"first"}
    await ops.work()
    assert await counts(ops) == {"first is down": 1}


async def test_causes_beyond_the_bound_are_one(ops: Operations) -> None:
    """A list keeps 100 causes apart; further ones are counted as `other`."""
    for number in range(103):
        name = "".join(chr(ord("a") + int(digit)) for digit in str(number))
        reason = OLD | {"error": f"OSError: {name}"}
        ops.client.rpush(DEAD, vcon_uuid := new_uuid())
        ops.client.hset(REASONS, vcon_uuid, orjson.dumps(reason))
    await CauseIndex(ops.redis).tend([DEAD])
    assert ops.client.hlen(CAUSES) == 101
    assert (await counts(ops))[OTHER] == 3
    assert (await ops.operations.dead_letters("in", None, 1, None)).causes == {OLD["cause"]: 103}
    for vcon_uuid in ops.list(DEAD):
        await ops.index.delete(vcon_uuid, [DEAD])
    assert left_over(ops) == set()


async def test_reasons_of_the_version_before_are_adopted(ops: Operations) -> None:
    """They are unknown until then; their fingerprint is that of what they tell, without a hash."""
    at = "2026-11-20T10:00:00+00:00"
    uuids = [new_uuid() for _ in range(120)]
    ops.client.rpush(DEAD, *uuids, new_uuid())
    reason = orjson.dumps(OLD | {"at": at, "beside": [OLD | {"list_name": "more"}]})
    ops.client.hset(REASONS, mapping=dict.fromkeys(uuids, reason))
    ops.client.hset(REASONS, uuids[0], "{}")
    assert await counts(ops) == {UNKNOWN: 121}
    index = CauseIndex(ops.redis)
    await index.tend([DEAD])
    found = await index.causes(DEAD)
    assert {each.fingerprint: each.count for each in found.causes} == {
        cause_of("link", "a", OLD["error"], "").fingerprint: 119,
        UNKNOWN: 1,
    }
    assert found.unknown == 1
    assert found.causes[0].last_seen.isoformat() == at
    adopted = orjson.loads(ops.client.hget(REASONS, uuids[1]))
    assert adopted["beside"][0]["fingerprint"] == adopted["fingerprint"]


THEIRS = (
    *("", "5", "[1]", "null", '{"beside":5}', '{"beside":[5,{}]}', '{"error":["x"],"at":{}}'),
    *('{"fingerprint":"a:b"}', '{"kind":1,"error":"x"}', json.dumps({"fingerprint": "f" * 99})),
)
"""Reasons as no version of this service writes them."""


@pytest.mark.parametrize("text", THEIRS)
async def test_reasons_that_another_program_wrote(ops: Operations, text: str) -> None:
    """An unreadable entry does not stop the others from being adopted."""
    ops.client.rpush(DEAD, "theirs", "ours")
    ops.client.hset(REASONS, mapping={"theirs": text, "ours": orjson.dumps(OLD)})
    await CauseIndex(ops.redis).tend([DEAD])
    assert (await counts(ops))["port <n>"] == 1


async def test_what_a_version_without_the_index_removed_is_forgotten(
    ops: Operations, plugins: Plugins
) -> None:
    """A replica of the version before replays: its vCons stay in the index until it is checked."""
    one, two = await failed(ops, plugins, "second", count=2)
    await failed(ops, plugins, "first")
    ops.client.hdel(REASONS, one)
    ops.client.lrem(DEAD, 1, one)
    await CauseIndex(ops.redis).tend([DEAD])
    assert await counts(ops) == {"second is down": 1, "first is down": 1}
    ops.client.hdel(REASONS, two)
    await CauseIndex(ops.redis).tend([DEAD])
    assert await counts(ops) == {"first is down": 1, UNKNOWN: 1}


async def test_a_reason_that_the_version_before_replaced(ops: Operations, plugins: Plugins) -> None:
    """The counts are as before, so that it is found when the list is looked through."""
    one, _ = await failed(ops, plugins, "second", count=2)
    ops.client.hset(REASONS, one, orjson.dumps(OLD))
    index = CauseIndex(ops.redis)
    await index.tend([DEAD])
    await index.tend([DEAD])
    assert await counts(ops) == {"second is down": 1, "port <n>": 1}


async def test_an_unusable_index_does_not_stop_a_failure(ops: Operations, plugins: Plugins) -> None:
    """The dead letter is written; it is filed once the key is gone."""
    ops.client.set(CAUSES, "another program's")
    await failed(ops, plugins, "second")
    assert len(ops.list(DEAD)) == 1
    ops.client.delete(CAUSES)
    await CauseIndex(ops.redis).tend([DEAD])
    assert await counts(ops) == {"second is down": 1}
