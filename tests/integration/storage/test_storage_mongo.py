"""The MongoDB storage on a server that speaks its protocol."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from pipeline.runs.vcon_store import VconStore
from tests.canaries import canary
from tests.integration.support.mongo_stand_in import mongo_server
from tests.plugins.scene import TAGGED, Later, canonical, connected, sample_names

pymongo = Later("pymongo")

mongo = Later("storage.mongo")
VCON = canonical(TAGGED) | {"created_at": "2025-02-28T23:30:00.123456-05:00"}
UUID = VCON["uuid"]
MISSING = "00000000-0000-8000-8000-000000000000"
CEILING_SECONDS = 60
EMPTY = b"\x05\0\0\0\0"  # a document in BSON


@pytest.fixture(autouse=True)
async def store(redis_url: str) -> AsyncIterator[VconStore]:
    """A store with one vCon behind the connection that plugins find."""
    async with connected(redis_url) as store, asyncio.timeout(CEILING_SECONDS):
        await store.put(VCON)
        yield store


@pytest.fixture
async def options() -> AsyncIterator[dict[str, Any]]:
    """Options of the storage in a database without anything."""
    async with mongo_server() as url:
        yield {"url": url, "database": "conserver", "collection": "vcons"}
        await mongo.close()


async def found(options: dict[str, Any]) -> list[dict[str, Any]]:
    """What is in the collection, through a client of the test's own."""
    async with pymongo.AsyncMongoClient(options["url"], tz_aware=True) as client:
        return await client["conserver"]["vcons"].find().to_list()


async def test_a_vcon_is_a_document_with_dates(options: dict[str, Any]) -> None:
    """Under its uuid, one however often it is saved."""
    for _ in range(2):
        await mongo.save(UUID, options)
    [document] = await found(options)
    assert document["_id"] == UUID
    moment = datetime(2025, 3, 1, 4, 30, tzinfo=UTC) + timedelta(milliseconds=123)
    assert document["created_at"] == moment
    assert {type(dialog["start"]) for dialog in document["dialog"]} == {datetime}
    assert document["attachments"] == VCON["attachments"]


async def test_what_a_vcon_has_lost_does_not_stay(
    store: VconStore, options: dict[str, Any]
) -> None:
    """A save replaces the whole."""
    await store.put(VCON | {"note": "old"})
    await mongo.save(UUID, options)
    await store.put(VCON)
    await mongo.save(UUID, options)
    assert "note" not in (await found(options))[0]


async def test_every_sample_comes_back(store: VconStore, options: dict[str, Any]) -> None:
    """With the same moments in UTC, and all else equal."""
    for before in map(canonical, sample_names()):
        await store.put(before)
        await mongo.save(before["uuid"], options)
        after = await mongo.get(before["uuid"], options)
        assert after is not None
        assert timeless(after) == timeless(before)
        assert moments(after) == moments(before)


async def test_several_share_a_bulk_write(
    store: VconStore, options: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the same documents as one by one; what the client cannot send fails alone."""
    sizes: list[int] = []
    bulk_write = pymongo.asynchronous.collection.AsyncCollection.bulk_write

    async def noted(self: Any, changes: list[Any], **how: Any) -> Any:
        sizes.append(len(changes))
        return await bulk_write(self, changes, **how)

    monkeypatch.setattr(pymongo.asynchronous.collection.AsyncCollection, "bulk_write", noted)
    uuids = [f"00000000-0000-8000-8000-{number:012}" for number in range(30)]
    for uuid in uuids:
        await store.put(VCON | {"uuid": uuid, "note": uuid})
    await asyncio.gather(*(mongo.save(uuid, options) for uuid in (*uuids, uuids[0])))
    assert sum(sizes) == 31
    assert len(sizes) < 31
    documents = await found(options)
    assert {each["_id"]: each["note"] for each in documents} == {uuid: uuid for uuid in uuids}


async def test_a_refused_document_fails_alone(options: dict[str, Any]) -> None:
    """Its error has not the vCon, which pymongo's has."""
    refused = {"index": 1, "code": 121, "errmsg": "Document failed validation", "op": {"q": VCON}}
    details = {"writeErrors": [refused], "writeConcernErrors": []}

    class Collection:
        async def bulk_write(self, _: object, *, ordered: bool) -> None:
            assert not ordered
            raise pymongo.errors.BulkWriteError(details)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("storage.mongo._collection", lambda _: Collection())
        errors = await mongo._write(mongo.Options.of(options), [("a", EMPTY), ("b", EMPTY)])
        details["writeConcernErrors"] = [{"code": 64, "errmsg": "waiting for replication"}]
        with pytest.raises(pymongo.errors.WriteConcernError, match="replication"):
            await mongo._write(mongo.Options.of(options), [("a", EMPTY)])
    assert errors[0] is None
    assert isinstance(errors[1], pymongo.errors.WriteError)
    assert VCON["uuid"] not in str(errors[1])


def timeless(document: dict[str, Any]) -> dict[str, Any]:
    """The vCon without what is kept as dates."""
    return mongo.with_dates(document, lambda _: None)


def moments(document: dict[str, Any]) -> list[object]:
    """What is kept as dates, as precisely as MongoDB has it, and what cannot be read as one."""
    texts = [document["created_at"]]
    texts += [each["start"] for each in document["dialog"] if "start" in each]
    read = [mongo.as_date(text) for text in texts]
    return [
        each.replace(microsecond=each.microsecond // 1000 * 1000)
        if isinstance(each, datetime)
        else each
        for each in read
    ]


async def test_delete_and_get_say_whether_there_was_anything(options: dict[str, Any]) -> None:
    """True once, then False; a vCon, then None."""
    await mongo.save(UUID, options)
    assert [await mongo.delete(UUID, options) for _ in range(2)] == [True, False]
    assert await mongo.get(UUID, options) is None


@pytest.mark.parametrize(
    "edge", ["0001-01-01T00:00:00Z", "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00"]
)
async def test_a_date_at_the_edge_of_the_calendar_is_kept(
    options: dict[str, Any], store: VconStore, edge: str
) -> None:
    """One that is outside the years 1 to 9999 in UTC stays a text."""
    await store.put(VCON | {"created_at": edge})
    await mongo.save(UUID, options)
    after = await mongo.get(UUID, options)
    assert after is not None
    assert datetime.fromisoformat(after["created_at"]) == datetime.fromisoformat(edge)


@pytest.mark.parametrize("value", ["soon", 5, None])
def test_a_date_that_cannot_be_read_stays_what_it_was(value: object) -> None:
    """It is no reason not to keep the vCon."""
    assert mongo.as_date(value) == value


async def test_a_server_that_is_not_there_is_an_error_without_the_url() -> None:
    """After the time-out; no password is in it."""
    secret = canary("password-of-the-mongo-a1ee")
    options = {"url": f"mongodb://me:{secret}@127.0.0.1:9/", "timeout": 0.05}
    with pytest.raises(pymongo.errors.PyMongoError) as error:
        await mongo.get(UUID, options)
    assert secret not in str(error.value)
    await mongo.close()


async def test_a_vcon_that_is_not_in_redis_is_an_error(options: dict[str, Any]) -> None:
    """Which a chain takes for a failed save."""
    with pytest.raises(LookupError, match=MISSING):
        await mongo.save(MISSING, options)
