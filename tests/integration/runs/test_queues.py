"""Claiming, settling and rescuing: the scripts that move ids, on a real server."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import orjson
import pytest
from redis import Redis

from pipeline.admin.vcon_index import VconRemoval
from pipeline.ingest.intake import Intake
from pipeline.redis_client import keys
from pipeline.redis_client.client import RedisConnection
from pipeline.runs.queues import Claim, Claims, Queues, Record, Settlement
from pipeline.worker.unclaimed import UnclaimedRuns
from tests.integration.support.pipeline_fixtures import VCON_EXPIRY, a_vcon, new_uuid

JOURNAL = orjson.dumps({"status": "running"})


def journal_of(claim: Claim) -> bytes:
    """What cancelling reads of a run's journal."""
    names = {"chain": "main", "vcon_in": claim.vcon_uuid, "ingress_list": claim.list_name}
    return orjson.dumps({**names, "status": "queued", "finished_at": None})


class Lists:
    """Queues with workers that are only names, and shorthands for what tests do with them."""

    def __init__(self, redis: RedisConnection, client: Redis) -> None:
        self.redis, self.client = redis, client
        self.queues = Queues(redis, run_expiry=600, vcon_expiry=VCON_EXPIRY)
        self.intake = Intake(redis, sorted_set="vcons", max_depth=1000)
        self.revive("one")

    def revive(self, worker: str) -> None:
        """The worker has a lease."""
        self.client.sadd(keys.WORKERS, worker)
        self.client.set(keys.worker(worker), 1)

    async def die(self, worker: str = "one") -> None:
        """The worker is gone, and everybody knows."""
        await self.queues.bury(worker)

    def push(self, name: str, count: int = 1) -> list[str]:
        """New vCons in a list, as an adapter puts them there; their uuids."""
        uuids = [new_uuid() for _ in range(count)]
        for vcon_uuid in uuids:
            self.client.json().set(keys.vcon(vcon_uuid), ".", a_vcon(vcon_uuid))
        self.client.rpush(name, *uuids)
        return uuids

    async def claims(
        self,
        *names: str,
        want: int = 10,
        worker: str = "one",
        suspects: bool = False,
    ) -> Claims:
        """What a worker gets."""
        names = names or ("in",)
        return await self.queues.claim(worker, want, names, suspects=suspects)

    async def claim(self, *names: str, worker: str = "one", **more: Any) -> Claim:
        """The one vCon that a worker gets."""
        [claim] = (await self.claims(*names, worker=worker, **more)).claims
        return claim

    async def suspect(self, worker: str = "one") -> Claim:
        """The next suspect, whether it has been moved aside or not."""
        return await self.claim(want=1, suspects=True, worker=worker)

    async def suspects(self, count: int) -> list[str]:
        """So many new vCons of `in` whose worker has died, moved aside; their uuids."""
        fed = self.push("in", count)
        await self.claims(want=count)
        await self.die()
        self.revive("one")
        assert not (await self.claims()).claims
        return fed

    async def finish(self, claim: Claim, worker: str = "one", **changes: Any) -> bool:
        """End the run of a claim."""
        record = changes.pop("record", Record(JOURNAL, claim.vcon_uuid))
        return await self.queues.finish(worker, claim, Settlement(record=record, **changes))

    async def fail(self, claim: Claim, delay: float = 0.0, worker: str = "one") -> bool:
        """The attempt has failed and is due again after so many seconds."""
        record = Record(JOURNAL, claim.vcon_uuid)
        return await self.queues.retry_later(worker, claim, record, delay)

    async def give_back(self, claim: Claim, worker: str = "one") -> bool:
        """Back to where it came from."""
        return await self.queues.give_back(worker, claim, Record(JOURNAL, claim.vcon_uuid))

    def elements(self, name: str) -> list[str]:
        """What is in a list."""
        found: list[str] = self.client.lrange(name, 0, -1)
        return found

    def held(self, worker: str = "one") -> set[str]:
        """What a worker holds."""
        return set(self.client.hkeys(keys.inflight(worker)))

    def ttl(self, vcon_uuid: str) -> int:
        """How long a document stays; -1 for ever."""
        return int(self.client.ttl(keys.vcon(vcon_uuid)))


@pytest.fixture
def lists(redis: RedisConnection, client: Redis) -> Lists:
    """An empty Redis and one worker with a lease."""
    return Lists(redis, client)


def uuids(claims: Sequence[Claim]) -> list[str]:
    """The vCons of some claims."""
    return [claim.vcon_uuid for claim in claims]


# --- claiming


async def test_a_claim_moves_the_head_of_the_list_into_the_hands_of_the_worker(lists: Lists):
    """What is claimed has left its list and stands in the in-flight hash, in one step."""
    first, second = lists.push("in", 2)
    claim = await lists.claim(want=1)
    assert (claim.vcon_uuid, claim.list_name, claim.attempt) == (first, "in", 1)
    assert lists.elements("in") == [second]
    assert lists.held() == {first}


async def test_never_more_is_claimed_than_is_wanted(lists: Lists):
    """A worker gets as many as it asks for, whatever waits, over however many lists."""
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


# --- retries


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
    assert await lists.queues.give_back_orphan("one", vcon_uuid, claim.token)
    assert (await lists.claim()).attempt == 1


async def test_what_nobody_knows_of_twice_is_given_back(lists: Lists):
    """Once may be a claim whose reply is on its way; what is run is left alone."""
    first, second = lists.push("in", 2)
    running = await lists.claim(want=1)
    orphans = UnclaimedRuns(lists.queues, "one", {running.token})
    await lists.claim(want=1)
    await orphans.look()
    assert lists.held() == {first, second}
    await orphans.look()
    assert (lists.held(), lists.elements("in")) == ({first}, [second])


async def test_what_goes_back_does_not_expire_on_the_way(lists: Lists, client: Redis):
    """Whoever gave it a time to live, by whatever means; it is remembered for later."""
    [vcon_uuid] = lists.push("in")
    await lists.claim()
    client.set(f"vcon:{vcon_uuid}", "x", ex=50)
    await lists.die()
    assert client.ttl(f"vcon:{vcon_uuid}") == -1
    assert int(client.hget(f"pc:about:{vcon_uuid}", "expiry")) in (49, 50)


# --- settling


async def test_finishing_forwards_and_forgets(lists: Lists, client: Redis):
    """The end of a run: egress, history and journal, and nobody holds the vCon any more."""
    [vcon_uuid] = lists.push("in")
    claim = await lists.claim()
    assert await lists.finish(claim, egress_lists=["out", "copy"])
    assert lists.elements("out") == lists.elements("copy") == [vcon_uuid]
    assert lists.elements(keys.HISTORY) == [JOURNAL.decode()]
    assert lists.held() == set()
    assert client.hgetall(keys.LOCKS) == {}
    assert 0 < client.ttl(keys.run(claim.run_id)) <= 600


async def test_a_run_ends_only_once(lists: Lists):
    """A second settlement does nothing: nothing is forwarded twice."""
    lists.push("in")
    claim = await lists.claim()
    assert await lists.finish(claim, egress_lists=["out"])
    assert not await lists.finish(claim, egress_lists=["out"])
    assert not await lists.fail(claim)
    assert not await lists.give_back(claim)
    assert len(lists.elements("out")) == 1
    assert len(lists.elements(keys.HISTORY)) == 1
    assert lists.elements("in") == []


async def test_whoever_was_taken_for_dead_settles_nothing(lists: Lists):
    """After a rescue only the worker that took the vCon over can end its run."""
    lists.revive("two")
    lists.push("in")
    stale = await lists.claim()
    await lists.die()
    fresh = await lists.suspect(worker="two")
    assert not await lists.finish(stale, egress_lists=["out"])
    assert lists.elements("out") == []
    assert await lists.finish(fresh, worker="two", egress_lists=["out"])
    assert len(lists.elements("out")) == 1


async def test_a_claim_from_before_a_rescue_is_void_for_the_same_worker_too(lists: Lists):
    """A worker that was taken for dead and claims the vCon again cannot settle the old claim."""
    lists.push("in")
    stale = await lists.claim()
    await lists.die()
    lists.revive("one")
    fresh = await lists.suspect()
    assert not await lists.finish(stale, egress_lists=["out"])
    assert not await lists.queues.checkpoint("one", stale, Record(JOURNAL, stale.vcon_uuid))
    assert await lists.finish(fresh, egress_lists=["out"])


async def test_a_journal_is_written_only_by_who_holds_the_run(lists: Lists, client: Redis):
    """After a rescue a stale worker's journal and document change nothing."""
    [vcon_uuid] = lists.push("in")
    claim = await lists.claim()
    record = Record(b'{"by":"one"}', vcon_uuid, orjson.dumps({"uuid": vcon_uuid, "by": "one"}))
    assert await lists.queues.checkpoint("one", claim, record)
    assert client.get(keys.run(claim.run_id)) == '{"by":"one"}'
    assert client.json().get(keys.vcon(vcon_uuid))["by"] == "one"
    await lists.die()
    late = Record(b'{"by":"ghost"}', vcon_uuid, orjson.dumps({"uuid": vcon_uuid, "by": "ghost"}))
    assert not await lists.queues.checkpoint("one", claim, late)
    assert client.get(keys.run(claim.run_id)) == '{"by":"one"}'
    assert client.json().get(keys.vcon(vcon_uuid))["by"] == "one"


async def test_a_journal_that_arrives_again_later_brings_nothing_back(lists: Lists, client: Redis):
    """One that was sent twice may arrive once more after the run has gone on."""
    [vcon_uuid] = lists.push("in")
    claim = await lists.claim()

    async def arrives(number: int, written: str) -> int:
        text = orjson.dumps({"uuid": written, "number": number})
        fence = ("one", vcon_uuid, claim.token, f'{{"number":{number}}}')
        return int(await lists.redis.script("journal", *fence, written, text, 0, number))

    assert [await arrives(number, vcon_uuid) for number in (7, 7, 12, 7)] == [1] * 4
    assert client.get(keys.run(claim.run_id)) == '{"number":12}'
    assert client.json().get(keys.vcon(vcon_uuid))["number"] == 12
    assert await arrives(11, other := new_uuid())  # of another storage, overtaken on its way
    assert client.json().get(keys.vcon(other))["number"] == 11


async def test_each_write_of_a_run_has_a_higher_number(lists: Lists, client: Redis):
    """However often a run writes, what it writes later is what stays."""
    [vcon_uuid] = lists.push("in")
    claim = await lists.claim()
    for number in range(20):
        text = orjson.dumps({"uuid": vcon_uuid, "number": number})
        assert await lists.queues.checkpoint("one", claim, Record(JOURNAL, vcon_uuid, text))
        assert client.json().get(keys.vcon(vcon_uuid))["number"] == number


async def test_what_is_unwritten_is_written_with_the_settlement(lists: Lists, client: Redis):
    """The document of the record is in Redis when the id is in the egress list."""
    [vcon_uuid] = lists.push("in")
    claim = await lists.claim()
    text = orjson.dumps({"uuid": vcon_uuid, "tagged": True})
    await lists.finish(claim, record=Record(JOURNAL, vcon_uuid, text), egress_lists=["out"])
    assert client.json().get(keys.vcon(vcon_uuid))["tagged"]


async def test_dead_letters_keep_the_reason_beside_the_id(lists: Lists, client: Redis):
    """The list has the bare uuid, as other tools expect it, and the reason stands beside it."""
    [vcon_uuid] = lists.push("in")
    claim = await lists.claim()
    await lists.finish(claim, dead_letters=[("DLQ:in", '{"error":"no"}')])
    assert lists.elements("DLQ:in") == [vcon_uuid]
    assert client.hgetall(keys.reasons("DLQ:in")) == {vcon_uuid: '{"error":"no"}'}


async def test_a_storages_dead_letter_is_what_the_links_made(lists: Lists):
    """When a link has replaced the vCon, the storage's list has the new one."""
    [came_in] = lists.push("in")
    made = new_uuid()
    lists.client.json().set(keys.vcon(made), ".", a_vcon(made))
    claim = await lists.claim()
    letters = [("DLQ:storage:shelf", "{}")]
    await lists.finish(claim, record=Record(JOURNAL, made), dead_letters=letters)
    assert lists.elements("DLQ:storage:shelf") == [made] != [came_in]


async def test_an_egress_list_that_is_no_list_loses_nothing(lists: Lists, client: Redis):
    """When a settlement cannot be carried out, none of it is: the vCon is still held."""
    [vcon_uuid] = lists.push("in")
    claim = await lists.claim()
    client.set("out", "somebody else's")
    with pytest.raises(Exception, match=r"WRONGTYPE|no list"):
        await lists.finish(claim, egress_lists=["copy", "out"])
    assert lists.held() == {vcon_uuid}
    assert lists.elements("copy") == []


# --- how long documents stay


async def test_a_stored_vcon_begins_to_expire_when_nobody_holds_it(lists: Lists):
    """The time to live begins with the settlement, when a storage has the vCon."""
    [vcon_uuid] = lists.push("in")
    await lists.finish(await lists.claim(), saved=True)
    assert 0 < lists.ttl(vcon_uuid) <= VCON_EXPIRY


@pytest.mark.parametrize(
    "ending",
    [
        {"saved": False},
        {"saved": True, "egress_lists": ["out"]},
        {"saved": True, "dead_letters": [("DLQ:storage:shelf", "{}")]},
        {"saved": False, "dead_letters": [("DLQ:in", "{}")]},
    ],
    ids=["stored nowhere", "unread egress", "storage refused", "dead"],
)
async def test_a_vcon_that_somebody_needs_stays(lists: Lists, ending: dict[str, Any]):
    """Nothing expires that no storage has, or that an egress or dead-letter list holds."""
    [vcon_uuid] = lists.push("in")
    await lists.finish(await lists.claim(), **ending)
    assert lists.ttl(vcon_uuid) == -1


async def test_a_vcon_that_waits_in_another_list_stays(lists: Lists):
    """The end of one run starts no time to live while the vCon is queued elsewhere."""
    [vcon_uuid] = lists.push("in")
    await lists.intake.enqueue([vcon_uuid], "later")
    await lists.finish(await lists.claim(), saved=True)
    assert lists.ttl(vcon_uuid) == -1


# --- rescue


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
    """A rescue releases what waited for the vCon, behind nobody."""
    [vcon_uuid] = lists.push("a")
    lists.client.rpush("b", vcon_uuid)
    await lists.claim("a", "b")
    assert not (await lists.claims("b")).claims
    await lists.die()
    assert lists.elements("b") == [vcon_uuid]
    assert lists.elements("a") == [vcon_uuid]


@pytest.mark.parametrize("garbage", ["", "not a uuid", "two\nlines", "a|b", "{}"])
async def test_whatever_stands_in_a_list_can_be_claimed_and_settled(lists: Lists, garbage: str):
    """Another program's rubbish is a vCon that does not exist, and blocks nobody for ever."""
    lists.client.rpush("in", garbage)
    [fed] = lists.push("in")
    got = await lists.claims()
    assert uuids(got.claims)[-1] == fed
    for claim in got.claims:
        assert await lists.finish(claim, dead_letters=[("DLQ:in", "{}")])
    assert lists.held() == set()
    assert lists.elements("in") == []
