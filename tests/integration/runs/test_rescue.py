"""Rescuing the claims of dead workers, and suspects."""

from __future__ import annotations

import pytest

from pipeline.admin.vcon_index import VconRemoval
from pipeline.redis_client import keys
from pipeline.runs.queues import Record
from tests.integration.runs.lists_scene import Lists, journal_of, uuids


async def test_a_dead_workers_vcons_go_back_to_the_heads_in_their_order(lists: Lists):
    """What was claimed first is claimed first again, list by list, before all that came later."""
    fed = {"a": lists.push("a", 4), "b": lists.push("b", 3)}
    await lists.claims("a", "b", want=5)
    await lists.die()
    assert {name: lists.elements(name) for name in fed} == fed


async def test_a_rescue_happens_once(lists: Lists):
    """A second rescue finds nothing, and the worker is forgotten."""
    fed = lists.push("in", 2)
    await lists.claims()
    lists.client.delete(keys.worker("one"))
    assert await lists.queues.rescue("one") == 2
    assert await lists.queues.rescue("one") == 0
    assert sorted(lists.elements("in")) == sorted(fed)
    assert await lists.queues.workers() == []


async def test_a_worker_with_a_lease_is_left_alone(lists: Lists):
    """A rescue refuses to take anything from a worker that is alive."""
    fed = lists.push("in", 2)
    await lists.claims()
    assert await lists.queues.rescue("one") == -1
    assert lists.held() == set(fed)
    assert lists.elements("in") == []


async def test_a_vcon_that_dies_alone_has_used_an_attempt(lists: Lists):
    """It was certainly the one: its attempts go up with every death, and the run stays the same."""
    lists.push("in")
    run_ids = set()
    for attempt in (1, 2, 3):
        claim = await lists.claim() if attempt == 1 else await lists.suspect()
        assert claim.attempt == attempt
        run_ids.add(claim.run_id)
        await lists.die()
        lists.revive("one")
    assert len(run_ids) == 1


async def test_neighbours_of_a_death_are_not_blamed(lists: Lists):
    """Of several that ran beside each other, none has used an attempt."""
    await lists.suspects(3)
    for _ in range(3):
        claim = await lists.suspect()
        assert claim.attempt == 1
        await lists.finish(claim)


async def test_suspects_hold_up_nothing(lists: Lists):
    """What came after them in their list, and other lists, are claimed at once."""
    fed = await lists.suspects(3)
    fresh = [*lists.push("in", 2), *lists.push("other", 2)]
    got = await lists.claims("in", "other")
    assert sorted(uuids(got.claims)) == sorted(fresh)
    assert lists.elements("in") == []
    assert lists.elements(keys.suspects("in")) == fed
    state = await lists.queues.state(["in", "other"])
    assert [each.depth + each.suspects for each in state.lists.values()] == [3, 0]


async def test_suspects_are_claimed_in_their_order_and_keep_their_list(lists: Lists):
    """A claim for suspects takes nothing else, and each belongs to the list it came from."""
    fed = lists.push("in", 3)
    await lists.claims()
    await lists.die()
    lists.revive("one")
    lists.push("in")
    assert await lists.queues.suspects(["other", "in"]) == 1  # at the head, where only it is seen
    assert len((await lists.claims(want=0)).claims) == 0
    claims = (await lists.claims("other", "in", suspects=True)).claims
    assert (uuids(claims), {claim.list_name for claim in claims}) == (fed, {"in"})
    assert len(lists.elements("in")) == 1


async def test_a_suspect_that_stands_twice_in_its_list_runs_twice(lists: Lists):
    """The second entry waits for the first run, wherever the first has been moved."""
    [vcon_uuid] = lists.push("in")
    lists.client.rpush("in", vcon_uuid)
    lists.push("in")
    await lists.claims()
    await lists.die()
    lists.revive("one")
    assert not (await lists.claims()).claims
    ended = []
    while claims := [*(await lists.claims(suspects=True)).claims, *(await lists.claims()).claims]:
        for claim in claims:
            ended.append(claim.vcon_uuid)
            await lists.finish(claim)
    assert (ended.count(vcon_uuid), len(ended)) == (2, 3)


async def test_a_suspect_outlives_what_others_let_it_live(lists: Lists):
    """While it waits for its process it is held as in its list, also through the sweep."""
    [vcon_uuid, _] = await lists.suspects(2)
    lists.client.expire(keys.vcon(vcon_uuid), 60)
    await lists.redis.script("keep_queued", keys.suspects("in"), "", 0, -1)
    assert lists.ttl(vcon_uuid) == -1
    assert lists.client.smembers(f"pc:holds:{vcon_uuid}") == {"in"}


@pytest.mark.parametrize("moved", [True, False])
async def test_a_suspect_can_be_cancelled(lists: Lists, moved: bool):
    """One that waits for its process ends there and then, and nothing of it is left."""
    lists.push("in", 2)
    for claim in (got := (await lists.claims()).claims):
        await lists.queues.checkpoint("one", claim, Record(journal_of(claim), claim.vcon_uuid))
    await lists.die()
    lists.revive("one")
    if moved:
        await lists.claims()
    assert await lists.queues.cancel(got[0].run_id, "2026-11-21T12:00:00Z") == "queued"
    assert uuids((await lists.claims(suspects=True)).claims) == [got[1].vcon_uuid]


async def test_a_suspect_can_be_deleted(lists: Lists):
    """It goes out of the place where it waits for its process, too."""
    [vcon_uuid, other] = await lists.suspects(2)
    assert await VconRemoval(lists.redis, "vcons", run_expiry=60).remove(vcon_uuid, [])
    assert lists.elements(keys.suspects("in")) == [other]


async def test_what_a_dead_suspect_worker_held_is_a_suspect_again(lists: Lists):
    """It was alone, so it has used an attempt, and its next one is apart as well."""
    [first, second] = await lists.suspects(2)
    claim = await lists.suspect()
    assert claim.vcon_uuid == first
    await lists.die()
    lists.revive("one")
    assert not (await lists.claims()).claims
    again = (await lists.claims(suspects=True)).claims
    attempts = {claim.vcon_uuid: claim.attempt for claim in again}
    assert attempts == {first: 2, second: 1}


async def test_a_suspect_that_was_given_back_or_failed_is_a_suspect_no_more(lists: Lists):
    """Having lived through one attempt is proof enough."""
    await lists.suspects(2)
    failed, given_back = (await lists.claims(suspects=True)).claims
    await lists.fail(failed)
    await lists.give_back(given_back)
    assert len((await lists.claims()).claims) == 2


async def test_those_who_waited_for_a_dead_workers_vcon_go_on(lists: Lists):
    """A rescue returns the elements that waited for the vCon to the heads of their lists."""
    [vcon_uuid] = lists.push("a")
    lists.client.rpush("b", vcon_uuid)
    await lists.claim("a", "b")
    assert not (await lists.claims("b")).claims
    await lists.die()
    assert lists.elements("b") == [vcon_uuid]
    assert lists.elements("a") == [vcon_uuid]
