"""An erasure from its request to its end: order, holds, restarts, replicas, the statement."""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime

import pytest

from core.errors import ConflictError, GoneError, InvalidError, UnavailableError, UnknownNameError
from pipeline.erasure import tombstones
from pipeline.erasure.erasures import MOST_VCONS, Request
from pipeline.erasure.work import ErasureWork
from pipeline.law.writing.statements import ERASURE_STATEMENT, verified
from pipeline.media.file_store import FileStore
from pipeline.redis_client import keys
from tests.integration.erasure.erasure_scene import Scene, erased, states
from tests.integration.operator.people_scene import NUMBER
from tests.integration.support.pipeline_fixtures import new_uuid
from tests.law_keys import certificate_pem, ec_key


def everywhere(erasing: Scene) -> str:
    """A vCon that is queued, a dead letter, stored, indexed and in the history."""
    people = erasing.people
    vcon_uuid = people.in_redis("in", "DLQ:in", tel=NUMBER)
    people.operator.redis.hset("pc:dead:DLQ:in", vcon_uuid, json.dumps({"error": NUMBER}))
    people.in_index(vcon_uuid, 0, "shelf", tel=NUMBER)
    people.ran(vcon_uuid, status="failed", error=f"KeyError: {NUMBER}")
    erasing.kept(vcon_uuid)
    erasing.delivered(vcon_uuid, storage="shelf")
    return vcon_uuid


async def test_an_erasure_ends_with_a_signed_statement(erasing: Scene) -> None:
    """Nothing of the vCon is left but its tombstone; the statement says where it was erased."""
    vcon_uuid = everywhere(erasing)
    async with erasing.process() as process:
        erasure = await erased(process.erasures, vcon_uuid, ref="r-1")
    assert (erasure.state, states(erasure)) == ("complete", {"shelf": "verified"})
    assert erasing.people.traces(vcon_uuid) == [keys.tombstone(vcon_uuid)]
    assert not (erasing.folder("shelf") / vcon_uuid).exists()
    assert erasing.events(vcon_uuid) == ["vcon_deleted"]
    assert erasing.people.rows("SELECT error FROM chain_runs") == ["KeyError: erased"]
    assert erasing.people.rows("SELECT terms FROM vcon_index") == [[]]
    assert erasing.people.rows("SELECT salt FROM law_salts") == [None]
    assert erasure.statement is not None
    anchors = [certificate_pem(ec_key())]
    said = verified(erasure.statement, ERASURE_STATEMENT, anchors, datetime.now(UTC)).content
    assert (said["state"], said["vcons"], said["exceptions"]) == ("complete", [vcon_uuid], [])
    assert NUMBER not in str(said)


async def test_no_delivery_begins_after_the_tombstone(erasing: Scene) -> None:
    """Those before it are destinations, those after it are refused."""
    vcon_uuid = new_uuid()
    erasing.delivered(vcon_uuid, read="before")
    async with erasing.process() as process:
        erasure = await erased(process.erasures, vcon_uuid)
    erasing.delivered(vcon_uuid, read="after")
    names = erasing.people.rows("SELECT name FROM law_deliveries")
    assert (names, states(erasure)["before"]) == (["before"], "cannot")


async def test_a_hold_keeps_everything_as_it_is(erasing: Scene) -> None:
    """Until it ends; another request for the vCon is refused meanwhile."""
    vcon_uuid = everywhere(erasing)
    traces = erasing.people.traces(vcon_uuid)
    async with erasing.process() as process:
        erasures = process.erasures
        held = await erased(erasures, vcon_uuid, hold="a claim of 2026")
        assert (held.state, held.hold, held.targets) == ("held", "a claim of 2026", [])
        assert erasing.people.traces(vcon_uuid) == traces
        with pytest.raises(ConflictError, match=f"{held.id}.*held .a claim of 2026"):
            await erased(erasures, vcon_uuid)
        assert (await erasures.go_on(held.id)).state == "requested"
        assert (await erasures.hold(held.id, "again")).state == "held"
        await erasures.go_on(held.id)
        ended = await erasures.advance(held.id)
        for change in (erasures.go_on(held.id), erasures.hold(held.id, "late")):
            with pytest.raises(ConflictError, match="complete"):
                await change
    assert (ended.state, ended.hold) == ("complete", None)


async def test_a_run_that_holds_the_vcon_is_cancelled_and_awaited(erasing: Scene) -> None:
    """No destination is tried before: the run might write to it afterwards."""
    vcon_uuid, redis, run_id = everywhere(erasing), erasing.people.operator.redis, new_uuid()
    redis.hset(keys.LOCKS, vcon_uuid, f"one\n7\n{vcon_uuid}")  # it has written a document
    redis.hset(keys.inflight("one"), vcon_uuid, f"1\n{run_id}\nin\n{vcon_uuid}")
    run = {"run_id": run_id, "chain": "main", "vcon_in": vcon_uuid, "vcon_out": vcon_uuid}
    redis.set(keys.run(run_id), json.dumps(run | {"status": "running", "finished_at": None}))
    async with erasing.process() as process:
        erasure = await erased(process.erasures, vcon_uuid)
        assert (erasure.state, states(erasure)) == ("waiting", {"shelf": "pending"})
        assert redis.exists(keys.cancel(run_id), keys.tombstone(vcon_uuid)) == 2
        assert (erasing.folder("shelf") / vcon_uuid).exists()
        redis.delete(keys.LOCKS, keys.inflight("one"))
        erasing.hurry()
        erasure = await process.erasures.advance(erasure.id)
    assert (erasure.state, states(erasure)) == ("complete", {"shelf": "verified"})


async def test_it_survives_restarts_and_ends_once(erasing: Scene) -> None:
    """A storage is down for two processes; the third ends it, a fourth does nothing more."""
    vcon_uuid = everywhere(erasing)
    (erasing.folder("shelf") / "down").touch()
    async with erasing.process() as process:
        erasure = await erased(process.erasures, vcon_uuid)
    assert erasure.state == "waiting"
    for _ in range(3):
        erasing.hurry()
        async with erasing.process() as process:
            await process.work.round()
            now = await process.erasures.get(erasure.id)
        (erasing.folder("shelf") / "down").unlink(missing_ok=True)
    assert (now.state, erasing.events(vcon_uuid)) == ("complete", ["vcon_deleted"])
    assert now.targets[-1].attempts == 3


@pytest.mark.parametrize("killed_in", ["_begin", "_taken_out", "_forget", "_save", "_conclude"])
async def test_a_process_that_dies_leaves_it_to_the_next(
    erasing: Scene, monkeypatch: pytest.MonkeyPatch, killed_in: str
) -> None:
    """At each step: once its time is over, another process repeats what has no result."""
    vcon_uuid = everywhere(erasing)

    async def killed(*_: object) -> None:
        raise UnavailableError("killed")

    async with erasing.process() as process:
        with monkeypatch.context() as patch:
            patch.setattr(ErasureWork, killed_in, killed)
            with pytest.raises(UnavailableError, match="killed"):
                await erased(process.erasures, vcon_uuid)
    async with erasing.process() as process:
        [erasure] = (await process.erasures.page(10)).erasures
        assert (await process.erasures.advance(erasure.id)).ended_at is None  # still taken
        erasing.hurry()
        erasure = await process.erasures.advance(erasure.id)
    assert (erasure.state, states(erasure)) == ("complete", {"shelf": "verified"})
    assert erasing.people.traces(vcon_uuid) == [keys.tombstone(vcon_uuid)]
    assert erasing.events(vcon_uuid) == ["vcon_deleted"]


async def test_only_one_replica_works_on_an_erasure(erasing: Scene) -> None:
    """The other one finds it taken; it has its time anew with each result."""
    async with erasing.process() as one, erasing.process() as other:
        erasure = await one.erasures.request(Request([new_uuid()], "test"))
        assert await one.work._calls(one.work._rows.take, erasure.id, 60)
        assert (await other.erasures.advance(erasure.id)).state == "requested"


async def test_a_second_request_for_a_vcon_is_the_first(erasing: Scene) -> None:
    """While that has not ended; afterwards another one says how it is then."""
    vcon_uuid = new_uuid()
    async with erasing.process() as process:
        erasures = process.erasures
        first = await erasures.request(Request([vcon_uuid], "test"))
        assert (await erasures.request(Request([vcon_uuid], "other"))).id == first.id
        both = await erasures.request(Request([vcon_uuid, new_uuid()], "test", subject="party"))
        assert both.id != first.id
        page = await erasures.page(1)
        rest = await erasures.page(1, page.cursor, open_only=True)
    assert [each.id for each in page.erasures + rest.erasures] == [both.id, first.id]


async def test_what_does_not_exist_is_refused(erasing: Scene) -> None:
    """An erasure, a destination, a cursor; and more vCons than one erasure may have."""
    async with erasing.process() as process:
        erasures, unknown = process.erasures, new_uuid()
        found = await erased(erasures, new_uuid())
        with pytest.raises(UnknownNameError, match=unknown):
            await erasures.get(unknown)
        with pytest.raises(UnknownNameError, match=r"link crm.*known: .*storage shelf"):
            await erasures.answer(found.id, "link", "crm", "acknowledged")
        with pytest.raises(ConflictError, match="storage shelf needs no answer: it is verified"):
            await erasures.answer(found.id, "storage", "shelf", "acknowledged")
        with pytest.raises(UnknownNameError, match=f"storage shelf .*{unknown}"):
            await erasures.answer(found.id, "storage", "shelf", "acknowledged", unknown)
        with pytest.raises(InvalidError, match="cursor"):
            await erasures.page(1, "x")
        with pytest.raises(InvalidError, match=f"at most {MOST_VCONS}"):
            await erasures.request(Request([new_uuid()] * (MOST_VCONS + 1), "test"))


async def test_only_so_much_is_kept_of_statements(
    erasing: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are in one row: further answers are refused before they change anything."""
    monkeypatch.setattr("pipeline.erasure.erasures.MOST_KEPT", 10)
    vcon_uuid = erasing.people.in_index(None, 0, "shelf")
    erasing.delivered(vcon_uuid, link="keeper")
    async with erasing.process() as process:
        erasure = await erased(process.erasures, vcon_uuid)
        with pytest.raises(ConflictError, match=r"has 1 statements of .* no answer is noted"):
            await process.erasures.answer(erasure.id, "link", "keeper", "acknowledged")
        assert (await process.erasures.get(erasure.id)).ended_at == erasure.ended_at


async def test_an_answer_after_the_end_makes_another_statement(erasing: Scene) -> None:
    """Which names the one before; it can be corrected, and what is erased stays so."""
    vcon_uuid = erasing.people.in_index(None, 0, "shelf")
    erasing.delivered(vcon_uuid, link="keeper")
    texts, said = [], []
    async with erasing.process() as process:
        erasure = await erased(process.erasures, vcon_uuid)
        for answer in ("acknowledged", "cannot", "acknowledged"):
            texts.append(erasure.statement or "")
            erasure = await process.erasures.answer(erasure.id, "link", "keeper", answer)
            assert erasure.ended_at is None
            erasure = await process.erasures.advance(erasure.id)
            anchors = [certificate_pem(ec_key())]
            text = erasure.statement or ""
            said.append(verified(text, ERASURE_STATEMENT, anchors, datetime.now(UTC)).content)
            digests = [hashlib.sha256(each.encode()).hexdigest() for each in texts]
            assert (said[-1]["version"], said[-1]["earlier"]) == (len(texts) + 1, digests)
        assert erasure.progress.earlier == texts
        [listed] = (await process.erasures.page(1)).erasures  # of up to 200 that have as many
        assert (listed.statement, listed.progress.earlier) == (None, [])
        with pytest.raises(ConflictError, match="acknowledged already"):
            await process.erasures.answer(erasure.id, "link", "keeper", "acknowledged")
    assert [each["state"] for each in said] == ["complete", "complete_with_exceptions", "complete"]
    assert erasing.events(vcon_uuid) == ["vcon_deleted"]


async def test_a_storage_that_never_answers_can_be_given_up(erasing: Scene) -> None:
    """By an operator; it is an exception then."""
    vcon_uuid = erasing.people.in_index(None, 0, "failing")
    async with erasing.process() as process:
        erasure = await erased(process.erasures, vcon_uuid)
        assert erasure.state == "waiting"
        await process.erasures.answer(erasure.id, "storage", "failing", "cannot", vcon_uuid)
        erasure = await process.erasures.advance(erasure.id)
    assert (erasure.state, states(erasure)["failing"]) == ("complete_with_exceptions", "cannot")


async def test_an_empty_redis_gets_the_tombstones_again(erasing: Scene) -> None:
    """And loses what it has of their vCons: it was restored from a file of before."""
    people, redis = erasing.people, erasing.people.operator.redis
    erased_ones = [everywhere(erasing) for _ in range(3)]
    async with erasing.process() as process:
        await erased(process.erasures, *erased_ones)
        redis.flushdb()
        kept, number = people.in_redis("in"), people.rows("SELECT max(number) FROM law_tombstones")
        again = people.in_redis("in", "DLQ:in", tel=NUMBER, vcon_uuid=erased_ones[0])
        await process.tombstones.keep()
        assert redis.get(keys.TOMBSTONES) == str(number[0])
        redis.delete(keys.INDEX)  # that it was removed, on its way to Postgres
        assert people.traces(again) == [keys.tombstone(again)]
        assert redis.exists(*map(keys.tombstone, erased_ones), keys.vcon(kept)) == 4
        redis.set(keys.TOMBSTONES, 99)  # of another database
        redis.delete(keys.tombstone(again))
        await process.tombstones.keep()
        with pytest.raises(GoneError):
            await process.work._destinations._lookup.find(again)


async def test_one_vcon_that_cannot_be_removed_does_not_hold_up_the_tombstones(
    erasing: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another program has a key in its place; it is tried again the next time."""
    monkeypatch.setattr(tombstones, "PAGE", 1)
    redis, uuids = erasing.people.operator.redis, [new_uuid() for _ in range(3)]
    async with erasing.process() as process:
        for each in uuids:
            await erased(process.erasures, each)
        redis.flushdb()
        redis.rpush(keys.vcon(uuids[0]), "another program's")
        erasing.people.in_redis("in", vcon_uuid=uuids[2])
        await process.tombstones.keep()
        assert redis.exists(*map(keys.tombstone, uuids)) == 3
        assert redis.exists(keys.vcon(uuids[2]), "in", keys.TOMBSTONES) == 0
        redis.delete(keys.vcon(uuids[0]))
        await process.tombstones.keep()
        assert redis.get(keys.TOMBSTONES) == "3"


@pytest.mark.parametrize("is_away", [True, False], ids=["away", "there"])
async def test_media_are_gone_before_an_erasure_is_complete(
    erasing: Scene, monkeypatch: pytest.MonkeyPatch, is_away: bool
) -> None:
    """Also those that Redis, which lost its data, does not know of; a store may be away."""
    folder = erasing.people.operator.config.parent / "media"
    monkeypatch.setenv("MEDIA_STORE", "file")
    monkeypatch.setenv("MEDIA_FOLDER", str(folder))
    folder.mkdir()
    vcon_uuid, store = erasing.people.in_index(None, 0, "shelf"), FileStore(folder)
    store.put_from_thread(vcon_uuid, (name := "0" * 64), b"a recording")
    assert await store.names(vcon_uuid) == [name]
    async with erasing.process() as process:
        away = folder.rename(folder.with_name("unmounted")) if is_away else None
        erasure = await erased(process.erasures, vcon_uuid)
        if away is not None:
            assert (erasure.state, erasure.targets[0].error) == ("waiting", "MediaAwayError")
            away.rename(folder)
            erasing.hurry()
            erasure = await process.erasures.advance(erasure.id)
    assert (erasure.state, await store.names(vcon_uuid)) == ("complete", [])
