"""Claims while a chain is paused or the worker's replica is drained."""

from __future__ import annotations

import json

import pytest

from pipeline.operator.entries import Entries
from pipeline.redis_client import keys
from pipeline.runs.queues import Claims, Queues
from tests.integration.runs.lists_scene import Lists, uuids
from tests.integration.support.recording_queues import VCON_EXPIRY

CHAINS = {"in": "main", "run:main": "main", "other": "second"}


async def claims(lists: Lists, *, replica: str = "", suspects: bool = False) -> Claims:
    """What a worker of this replica gets out of the lists of both chains."""
    queues = Queues(lists.redis, run_expiry=600, vcon_expiry=VCON_EXPIRY, replica=replica)
    return await queues.claim("one", 10, list(CHAINS), chains=CHAINS, suspects=suspects)


async def pause(lists: Lists, chain: str = "main", seconds: float | None = None) -> None:
    """Pause a chain."""
    await Entries(lists.redis, keys.PAUSED).put(chain, seconds, "me", "why")


async def test_nothing_is_claimed_of_a_paused_chain(lists: Lists) -> None:
    """Of none of its lists; other chains go on, and it does when the pause is over."""
    waiting, other = lists.push("in", 2), lists.push("other")
    lists.client.rpush("run:main", f"{waiting[0]}|run")
    await pause(lists)
    found = await claims(lists)
    assert (uuids(found.claims), list(found.paused)) == (other, ["in", "run:main"])
    assert lists.elements("in") == waiting
    assert await Entries(lists.redis, keys.PAUSED).take("main")
    assert uuids((await claims(lists)).claims) == waiting


async def test_a_paused_chain_without_elements_is_not_named(lists: Lists) -> None:
    """Its lists stay watched: a new element is no reason to claim in vain before it is there."""
    await pause(lists)
    assert list((await claims(lists)).paused) == []


async def test_a_timed_pause_ends_by_the_clock_of_redis(lists: Lists) -> None:
    """Without any call; the entry is still there."""
    fed = lists.push("in")
    await pause(lists, seconds=3600)
    assert not (await claims(lists)).claims
    entry = json.loads(str(lists.client.hget(keys.PAUSED, "main")))
    entry["until"] -= 3_600_001
    lists.client.hset(keys.PAUSED, "main", json.dumps(entry))
    assert uuids((await claims(lists)).claims) == fed
    assert lists.client.hexists(keys.PAUSED, "main")


@pytest.mark.parametrize(
    "text",
    [
        *("yes", "5", "null", "[]", '{"until":null}', '{"until":"soon"}', '{"until":{}}'),
        '{"until":1e300}',
        "[" * 5000,
        '{"until":5,"reason":"' + "x" * 20_000 + '"}',
        b'{"until":\xff}',
    ],
)
async def test_an_entry_that_cannot_be_read_pauses_without_an_end(
    lists: Lists, text: str | bytes
) -> None:
    """Another program wrote it; `resume` removes it."""
    lists.push("in")
    lists.client.hset(keys.PAUSED, "main", text)
    assert not (await claims(lists)).claims
    assert await Entries(lists.redis, keys.PAUSED).take("main")
    assert (await claims(lists)).claims


async def test_pauses_of_another_type_are_none(lists: Lists) -> None:
    """Another program has replaced the key; `check` and the log name it."""
    fed = lists.push("in")
    for key in (keys.PAUSED, keys.DRAINED):
        lists.client.set(key, "another program's")
    assert uuids((await claims(lists, replica="r1")).claims) == fed


async def test_the_lists_of_a_paused_chain_are_not_looked_at(lists: Lists) -> None:
    """A claim asks for no types of their keys, which takes half its time if many are paused."""
    lists.client.set("in", "another program's")
    assert list((await claims(lists)).closed) == ["in"]
    await pause(lists)
    found = await claims(lists)
    assert (list(found.closed), list(found.paused)) == ([], ["in"])


async def test_a_delayed_retry_of_a_paused_chain_waits_in_its_list(lists: Lists) -> None:
    """It is due, and runs as the second attempt after the pause; others are not held up by it."""
    [fed] = lists.push("in")
    await lists.fail(await lists.claim())
    await pause(lists)
    found = await claims(lists)
    assert (found.claims, found.retry_in, lists.elements("in")) == ([], None, [fed])
    await Entries(lists.redis, keys.PAUSED).take("main")
    [claim] = (await claims(lists)).claims
    assert (claim.vcon_uuid, claim.attempt) == (fed, 2)


async def test_suspects_of_a_paused_chain_need_no_process(lists: Lists) -> None:
    """They are neither claimed nor counted, moved aside or not."""
    await lists.suspects(2)
    await pause(lists)
    assert list((await claims(lists, suspects=True)).paused) == ["in"]
    assert await lists.queues.suspects(list(CHAINS), CHAINS) == 0
    await Entries(lists.redis, keys.PAUSED).take("main")
    assert await lists.queues.suspects(list(CHAINS), CHAINS) == 2


async def test_workers_of_a_drained_replica_claim_nothing(lists: Lists) -> None:
    """Of no chain, suspects neither; those of other replicas go on."""
    waiting, other = lists.push("in"), lists.push("other")
    drained = Entries(lists.redis, keys.DRAINED)
    await drained.put("r1", None, "me", "why")
    for suspects in (False, True):
        found = await claims(lists, replica="r1", suspects=suspects)
        assert (found.claims, list(found.paused)) == ([], ["in", "other"])
    assert uuids((await claims(lists, replica="r2")).claims) == waiting + other
    lists.push("in")
    await drained.take("r1")
    assert (await claims(lists, replica="r1")).claims


async def test_a_drained_replica_starts_no_process_for_suspects(lists: Lists) -> None:
    """There are none to claim for it."""
    await lists.suspects(2)
    queues = Queues(lists.redis, run_expiry=600, vcon_expiry=VCON_EXPIRY, replica="r1")
    assert await queues.suspects(["in"]) == 2
    await Entries(lists.redis, keys.DRAINED).put("r1", None, "me", "why")
    assert await queues.suspects(["in"]) == 0
