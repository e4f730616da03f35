"""Claiming vCons, and returning them to their lists."""

from __future__ import annotations

import asyncio

import pytest
from redis import Redis

from pipeline.redis_client import keys
from pipeline.worker.unclaimed import UnclaimedRuns
from tests.integration.runs.lists_scene import JOURNAL, Lists, uuids


async def test_a_claim_moves_the_head_of_the_list_into_the_hands_of_the_worker(lists: Lists):
    """What is claimed has left its list and stands in the in-flight hash, in one step."""
    first, second = lists.push("in", 2)
    claim = await lists.claim(want=1)
    assert (claim.vcon_uuid, claim.list_name, claim.attempt) == (first, "in", 1)
    assert lists.elements("in") == [second]
    assert lists.held() == {first}


async def test_never_more_is_claimed_than_is_wanted(lists: Lists):
    """A worker gets at most as many as it wants, over all lists together."""
    for name in ("a", "b", "c"):
        lists.push(name, 5)
    got = await lists.claims("a", "b", "c", want=4)
    assert len(got.claims) == 4
    assert sum(len(lists.elements(name)) for name in ("a", "b", "c")) == 11


async def test_a_busy_list_does_not_starve_another(lists: Lists):
    """Lists take turns within one claim, in the order given, until they are empty."""
    busy, quiet = lists.push("busy", 5), lists.push("quiet", 2)
    got = await lists.claims("busy", "quiet", want=6)
    expected = [busy[0], quiet[0], busy[1], quiet[1], busy[2], busy[3]]
    assert uuids(got.claims) == expected


async def test_nothing_is_claimed_without_a_lease(lists: Lists):
    """A worker without a lease gets nothing, and is told so."""
    waiting = lists.push("in")
    got = await lists.claims(worker="stranger")
    assert got.lease_lost
    assert not got.claims
    assert lists.elements("in") == waiting


async def test_two_workers_never_get_the_same_vcon(lists: Lists):
    """Of many claims at once, each vCon is in exactly one."""
    lists.revive("two")
    fed = lists.push("in", 40)
    answers = await asyncio.gather(
        *(lists.claims(want=3, worker=worker) for worker in ("one", "two") * 10)
    )
    got = [vcon_uuid for each in answers for vcon_uuid in uuids(each.claims)]
    assert sorted(got) == sorted(fed)


async def test_a_vcon_that_is_worked_on_waits_in_its_second_list(lists: Lists):
    """A second list with the same vCon waits, and its attempt is still the first afterwards."""
    [vcon_uuid] = lists.push("a")
    lists.client.rpush("b", vcon_uuid)
    first = await lists.claim("a", "b")
    assert not (await lists.claims("a", "b")).claims
    assert lists.elements("b") == []
    await lists.finish(first)
    second = await lists.claim("a", "b")
    assert (second.vcon_uuid, second.list_name, second.attempt) == (vcon_uuid, "b", 1)
    assert second.run_id != first.run_id


async def test_a_vcon_that_is_worked_on_does_not_block_its_list(lists: Lists):
    """What stands behind a vCon that must wait is claimed all the same."""
    [held] = lists.push("a")
    await lists.claim("a")
    lists.client.rpush("b", held)
    [behind] = lists.push("b")
    assert uuids((await lists.claims("b")).claims) == [behind]


async def test_a_requested_run_waits_for_the_vcon_too(lists: Lists):
    """RunChain on a vCon that is being worked on gets its turn, with its own run id, afterwards."""
    [vcon_uuid] = lists.push("in")
    first = await lists.claim("in", "run:main")
    assert await lists.intake.enqueue_run(vcon_uuid, "run-7", "main", b'{"status":"queued"}')
    assert not (await lists.claims("in", "run:main")).claims
    await lists.finish(first)
    second = await lists.claim("in", "run:main")
    assert (second.list_name, second.run_id, second.attempt) == ("run:main", "run-7", 1)
    assert second.journal == '{"status":"queued"}'


async def test_those_who_waited_come_back_in_their_order(lists: Lists):
    """Several runs that waited for one vCon are in the order in which they came."""
    [vcon_uuid] = lists.push("in")
    first = await lists.claim("in")
    for number in range(3):
        await lists.intake.enqueue_run(vcon_uuid, f"run-{number}", "main", b"{}")
    assert not (await lists.claims("run:main")).claims
    await lists.finish(first)
    assert lists.elements("run:main") == [f"{vcon_uuid}|run-{number}" for number in range(3)]


async def test_claiming_takes_the_time_limit_off_the_document(lists: Lists):
    """A vCon that an adapter gave a time to live does not expire while it is worked on."""
    [vcon_uuid] = lists.push("in")
    lists.client.expire(keys.vcon(vcon_uuid), 100)
    await lists.claim()
    assert lists.ttl(vcon_uuid) == -1


async def test_a_failed_attempt_comes_back_when_it_is_due_and_counts(lists: Lists):
    """Until it is due it is not claimed; then it is the second attempt of the same run."""
    [vcon_uuid] = lists.push("in")
    first = await lists.claim()
    await lists.fail(first, 100)
    early = await lists.claims()
    assert not early.claims
    assert early.retry_in is not None
    assert 0 < early.retry_in <= 100
    lists.client.zincrby(keys.LATER, -100_000, f"in\n{vcon_uuid}")
    second = await lists.claim()
    assert (second.vcon_uuid, second.attempt, second.run_id) == (vcon_uuid, 2, first.run_id)
    assert second.journal == JOURNAL.decode()


async def test_the_count_of_attempts_ends_with_the_run(lists: Lists):
    """The same vCon in the same list later on begins with its first attempt."""
    [vcon_uuid] = lists.push("in")
    await lists.fail(await lists.claim())
    await lists.finish(await lists.claim())
    lists.client.rpush("in", vcon_uuid)
    assert (await lists.claim()).attempt == 1


async def test_giving_back_puts_it_to_the_head_and_uses_no_attempt(lists: Lists):
    """What is given back is the next to be claimed, as if it had never been."""
    first, second = lists.push("in", 2)
    claim = await lists.claim(want=1)
    assert await lists.give_back(claim)
    assert lists.elements("in") == [first, second]
    again = await lists.claim(want=1)
    assert (again.vcon_uuid, again.attempt, again.run_id) == (first, 1, claim.run_id)


async def test_a_claim_whose_reply_was_lost_can_be_given_back(lists: Lists):
    """A worker finds out what it holds without knowing, and gives it back uncounted."""
    [vcon_uuid] = lists.push("in")
    claim = await lists.claim()
    assert await lists.queues.held("one") == {claim.token: vcon_uuid}
    assert await lists.queues.give_back_unknown("one", vcon_uuid, claim.token)
    assert (await lists.claim()).attempt == 1


async def test_a_claim_that_is_unknown_at_two_checks_is_returned(lists: Lists):
    """Once may be a claim whose reply is on its way; what is run is left alone."""
    first, second = lists.push("in", 2)
    running = await lists.claim(want=1)
    unclaimed = UnclaimedRuns(lists.queues, "one", {running.token})
    await lists.claim(want=1)
    await unclaimed.check()
    assert lists.held() == {first, second}
    await unclaimed.check()
    assert (lists.held(), lists.elements("in")) == ({first}, [second])


async def test_what_goes_back_does_not_expire_on_the_way(lists: Lists, client: Redis):
    """Whichever program set an expiry; it is noted for later."""
    [vcon_uuid] = lists.push("in")
    await lists.claim()
    client.set(f"vcon:{vcon_uuid}", "x", ex=50)
    await lists.die()
    assert client.ttl(f"vcon:{vcon_uuid}") == -1
    assert int(client.hget(f"pc:about:{vcon_uuid}", "expiry")) in (49, 50)


@pytest.mark.parametrize("garbage", ["", "not a uuid", "two\nlines", "a|b", "{}"])
async def test_any_element_can_be_claimed_and_settled(lists: Lists, garbage: str):
    """An invalid element counts as a vCon that does not exist, and does not block its list."""
    lists.client.rpush("in", garbage)
    [fed] = lists.push("in")
    got = await lists.claims()
    assert uuids(got.claims)[-1] == fed
    for claim in got.claims:
        assert await lists.finish(claim, dead_letters=[("DLQ:in", "{}")])
    assert lists.held() == set()
    assert lists.elements("in") == []
