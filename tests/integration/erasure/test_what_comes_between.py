"""What happens while a pass of an erasure is under way: runs that end, answers, holds, replicas."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from pipeline.erasure.erasures import Request
from pipeline.erasure.factory import ErasureParts
from pipeline.erasure.work import ErasureWork
from pipeline.redis_client import keys
from schemas.law.erasures import Erasure
from tests.integration.erasure.erasure_scene import Scene, erased, states
from tests.integration.operator.people_scene import NUMBER
from tests.integration.support.pipeline_fixtures import new_uuid


def stored(erasing: Scene) -> str:
    """A vCon in Redis and in a storage."""
    vcon_uuid = erasing.people.in_redis()
    erasing.people.in_index(vcon_uuid, 0, "shelf")
    erasing.kept(vcon_uuid)
    return vcon_uuid


def made(erasing: Scene, source: str) -> str:
    """The same, which a run has put in the place of another."""
    vcon_uuid = stored(erasing)
    erasing.people.ran(source, vcon_uuid, status="halted")  # no egress list got it
    return vcon_uuid


def is_nowhere(erasing: Scene, vcon_uuid: str) -> bool:
    """Whether only the tombstone of a vCon is left."""
    is_kept = (erasing.folder("shelf") / vcon_uuid).exists()
    return not is_kept and erasing.people.traces(vcon_uuid) == [keys.tombstone(vcon_uuid)]


def before(process: ErasureParts, name: str, deed: Callable[[], Any]) -> Callable[..., Any]:
    """The first call of this method of the rows comes after something else."""
    original, done = getattr(process.work._rows, name), list[bool]()

    def late(*words: Any, **more: Any) -> Any:
        if not done:
            done.append(True)
            deed()
        return original(*words, **more)

    return late


async def ended(erasing: Scene, process: ErasureParts, erasure: Erasure) -> Erasure:
    """The erasure after its last pass."""
    for _ in range(5):
        erasing.hurry()
        erasure = await process.erasures.advance(erasure.id)
        if erasure.ended_at is not None:
            break
    return erasure


@pytest.mark.parametrize("is_held", [True, False], ids=["held", "under way"])
async def test_what_a_run_has_made_since_the_request_is_erased_too(
    erasing: Scene, is_held: bool
) -> None:
    """While the vCon waited for the end of a hold, or a run held it; with what was made of that."""
    vcon_uuid, redis = stored(erasing), erasing.people.operator.redis
    async with erasing.process() as process:
        if is_held:
            erasure = await erased(process.erasures, vcon_uuid, hold="a claim")
        else:
            redis.hset(keys.LOCKS, vcon_uuid, "one")
            erasure = await erased(process.erasures, vcon_uuid)
        first = made(erasing, vcon_uuid)
        second = made(erasing, first)
        redis.delete(keys.LOCKS)
        if is_held:
            await process.erasures.go_on(erasure.id)
        erasure = await ended(erasing, process, erasure)
    everything = [vcon_uuid, first, second]
    assert (erasure.state, sorted(erasure.vcons)) == ("complete", sorted(everything))
    assert all(is_nowhere(erasing, each) for each in everything)
    assert [erasing.events(each) for each in everything] == [["vcon_deleted"]] * 3


async def test_a_run_that_ends_in_the_last_pass_does_not_leave_what_it_made(
    erasing: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The erasure looks once more before it says that it is complete."""
    vcon_uuid, found, attempt = stored(erasing), list[str](), ErasureWork._attempt

    async def late(work: ErasureWork, *words: Any) -> None:
        await attempt(work, *words)
        if not found:
            found.append(made(erasing, vcon_uuid))

    monkeypatch.setattr(ErasureWork, "_attempt", late)
    async with erasing.process() as process:
        erasure = await erased(process.erasures, vcon_uuid)
        assert erasure.state == "waiting"
        erasure = await ended(erasing, process, erasure)
    assert (erasure.state, sorted(erasure.vcons)) == ("complete", sorted([vcon_uuid, *found]))
    assert is_nowhere(erasing, found[0])


async def test_a_version_that_never_went_out_is_erased(erasing: Scene) -> None:
    """Its worker died before the end of the run, so no history names it."""
    vcon_uuid, version = stored(erasing), stored(erasing)
    erasing.people.operator.redis.hset(keys.about(vcon_uuid), f"{keys.VERSION_OF}{version}", "")
    async with erasing.process() as process:
        erasure = await erased(process.erasures, vcon_uuid)
    assert (erasure.state, sorted(erasure.vcons)) == ("complete", sorted([vcon_uuid, version]))
    assert is_nowhere(erasing, version)


async def test_a_version_that_only_the_waiting_history_names_is_erased(erasing: Scene) -> None:
    """Without custody the run's end tells of it: what waits for Postgres is written first."""
    vcon_uuid, version, run_id = stored(erasing), stored(erasing), new_uuid()
    told = {"vcon_uuid": version, "prior": vcon_uuid, "origin": "amended", "form": "signed"}
    told |= {"bytes": 2, "digest": "0" * 64, "chain": "main", "run_id": run_id, "signers": []}
    law = {"digest": "0" * 64, "versions": [told], "ended": []}
    run = {"run_id": run_id, "chain": "main", "config_hash": "", "attempts": 1, "steps": []}
    run |= {"vcon_in": vcon_uuid, "vcon_out": vcon_uuid, "status": "halted", "law": law}
    run |= {"finished_at": datetime.now(UTC).isoformat()}
    erasing.people.operator.redis.rpush(keys.HISTORY, json.dumps(run))
    async with erasing.process() as process:
        erasure = await erased(process.erasures, vcon_uuid)
    assert (erasure.state, sorted(erasure.vcons)) == ("complete", sorted([vcon_uuid, version]))
    assert is_nowhere(erasing, version)


@pytest.mark.parametrize("name", ["change", "end"])
async def test_an_answer_during_a_pass_counts(
    erasing: Scene, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """The pass has read the destinations before; neither its state nor its statement stands."""
    vcon_uuid = erasing.people.in_index(None, 0)
    step = "crm" if name == "change" else "keeper"
    erasing.delivered(vcon_uuid, link=step)
    async with erasing.process() as process:
        found = list[str]()

        def answered() -> None:
            process.work._rows.answer(found[0], "link", step, "acknowledged")

        monkeypatch.setattr(process.work._rows, name, before(process, name, answered))
        request = process.work._rows.request
        monkeypatch.setattr(
            process.work._rows, "request", lambda new: (found.append(new.id), request(new))
        )
        erasure = await erased(process.erasures, vcon_uuid)
        assert erasure.ended_at is None
        erasure = await process.erasures.advance(erasure.id)  # it is due
    assert (erasure.state, states(erasure)[step]) == ("complete", "acknowledged")


async def test_a_hold_during_the_first_pass_holds(
    erasing: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is erased; there is no tombstone."""
    vcon_uuid = stored(erasing)
    traces = erasing.people.traces(vcon_uuid)
    async with erasing.process() as process:
        rows = process.work._rows
        erasure = await process.erasures.request(Request([vcon_uuid], "test"))
        deed = before(process, "begin", lambda: rows.hold(erasure.id, "a claim"))
        monkeypatch.setattr(rows, "begin", deed)
        erasure = await process.erasures.advance(erasure.id)
        assert (erasure.state, erasure.targets) == ("held", [])
        assert erasing.people.traces(vcon_uuid) == traces
        assert erasing.people.rows("SELECT number FROM law_tombstones") == []
        await process.erasures.go_on(erasure.id)
        erasure = await process.erasures.advance(erasure.id)
    assert erasure.state == "complete"


async def test_a_slow_replica_writes_over_nothing(erasing: Scene) -> None:
    """While it failed at the storage, another one has ended the erasure."""
    vcon_uuid = erasing.people.in_index(None, 0, "shelf")
    (erasing.folder("shelf") / "down").touch()
    async with erasing.process() as slow, erasing.process() as other:
        erasure = await erased(slow.erasures, vcon_uuid)
        failed = slow.work._rows.targets(erasure.id)
        (erasing.folder("shelf") / "down").unlink()
        erasure = await ended(erasing, other, erasure)
        slow.work._rows.save(erasure.id, failed, 60)
        slow.work._rows.change(erasure.id, "waiting", None, erasure.updated_at)
        after = await other.erasures.get(erasure.id)
    assert (after, states(after)) == (erasure, {"shelf": "verified"})


@pytest.mark.parametrize("is_text", [True, False], ids=["text", "document"])
async def test_what_another_program_writes_and_queues_again_leaves_no_search_key(
    erasing: Scene, is_text: bool
) -> None:
    """Which has the number in its name, and which no record of the service names."""
    vcon_uuid, redis = stored(erasing), erasing.people.operator.redis
    async with erasing.process() as process:
        await erased(process.erasures, vcon_uuid)
        erasing.people.in_redis("in", vcon_uuid=vcon_uuid, tel=NUMBER)
        if is_text:
            text = json.dumps(redis.json().get(keys.vcon(vcon_uuid)))
            redis.delete(keys.vcon(vcon_uuid))
            redis.set(keys.vcon(vcon_uuid), text)
        redis.delete(keys.about(vcon_uuid))
        redis.set(keys.worker("one"), 1)
        taken = await process.work._removal._queues.claim("one", 1, ["in"])
    assert (taken.claims, [*redis.scan_iter("tel:*")]) == ([], [])
    assert not redis.exists(keys.vcon(vcon_uuid))
