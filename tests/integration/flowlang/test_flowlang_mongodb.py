"""The MongoDB plugin on a server that speaks its protocol."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from nx_27017.handler import NeoSQLiteHandler
from nx_27017.server import handle_client

from flowlang.__main__ import main
from flowlang.connections.kept import KeptConnections
from flowlang.connections.manager import ConnectionManager
from flowlang.connections.mongodb import provider
from flowlang.connections.mongodb.values import decoded, selection, upserted
from flowlang.exceptions import ConnectionError, FlowExecutionError
from flowlang.language.flow import Flow
from flowlang.running import run_flow
from tests.integration.support.mongo_stand_in import mongo_server

if TYPE_CHECKING:
    from pathlib import Path

PEOPLE = [
    {"name": "Ada", "age": 36, "home": {"town": "London"}},
    {"name": "Bo", "age": 20, "home": {"town": "Oslo"}},
    {"name": "Cy", "age": 28, "tags": ["x", "y"]},
]


class Mongo:
    """The plugin's tasks on the collection `people`."""

    def __init__(self, manager: ConnectionManager) -> None:
        self.manager = manager

    async def do(self, task: str, **parameters: Any) -> dict[str, Any]:
        """Call a task as a flow's step does."""
        function = (await self.manager.get_plugin("db")).get_builtin_tasks()[f"mongo_{task}"]
        async with self.manager.lent("db") as lent:
            told: dict[str, Any] = await function(
                collection="people", connection=lent, **parameters
            )
        return told

    async def names(self, **parameters: Any) -> list[str]:
        """The names in what is found."""
        return [each["name"] for each in (await self.do("find", **parameters))["documents"]]


@pytest.fixture
async def url() -> AsyncIterator[str]:
    """The address of a server that holds nothing."""
    async with mongo_server() as url:
        yield url


@pytest.fixture
async def mongo(url: str) -> AsyncIterator[Mongo]:
    """An open connection to an empty database."""
    config = {"type": "mongodb", "url": url, "database": "test"}
    async with ConnectionManager({"db": config}) as manager:
        yield Mongo(manager)


async def test_documents_are_found_by_the_id_that_an_insert_returned(mongo: Mongo) -> None:
    """Ids are texts in a flow, wherever they stand; one document or several are inserted."""
    told = await mongo.do("insert", documents=PEOPLE[0])
    [first] = told["inserted_ids"]
    assert told["count"] == 1
    friends = [first, {"$oid": first}]
    [second] = (await mongo.do("insert", documents=[{"name": "Di", "of": friends}]))["inserted_ids"]
    document = {"_id": first, **PEOPLE[0]}
    assert await mongo.do("find_one", filter={"_id": first}) == {
        "document": document,
        "found": True,
    }
    assert await mongo.names(filter={"_id": {"$in": [first, second]}}) == ["Ada", "Di"]
    assert await mongo.names(filter={"_id": {"$ne": first}}) == ["Di"]
    assert await mongo.names(filter={"$or": [{"_id": second}, {"name": "none"}]}) == ["Di"]
    found = await mongo.do("find_one", filter={"_id": {"$oid": second}})
    assert found["document"] == {"_id": second, "name": "Di", "of": [first, first]}
    assert await mongo.do("find_one", filter={"_id": "0" * 24}) == {
        "document": None,
        "found": False,
    }
    assert await mongo.do("insert", documents=[]) == {"inserted_ids": [], "count": 0}


async def test_an_id_may_be_a_text_that_looks_like_one_of_mongodbs(mongo: Mongo) -> None:
    """A document that was given such an `_id` is found by it, too."""
    text = "0123456789abcdef01234567"
    assert (await mongo.do("insert", documents={"_id": text, "name": "Ada"}))["inserted_ids"] == [
        text
    ]
    assert await mongo.names(filter={"_id": text}) == ["Ada"]


async def test_documents_are_sorted_cut_and_counted(mongo: Mongo) -> None:
    """`sort` is a field, a mapping or pairs, directions are words or numbers."""
    await mongo.do("insert", documents=PEOPLE)
    assert await mongo.names(sort="age") == ["Bo", "Cy", "Ada"]
    assert await mongo.names(sort={"age": -1}, limit=1) == ["Ada"]
    assert await mongo.names(sort=[["age", "desc"], ["name", 1]], skip=1) == ["Cy", "Bo"]
    assert await mongo.names(filter={"home.town": "Oslo"}) == ["Bo"]
    told = await mongo.do("find", filter={"age": {"$lt": 30}}, projection={"name": 1, "_id": 0})
    assert told["count"] == 2
    assert {"name": "Bo"} in told["documents"]
    assert await mongo.do("count") == {"count": 3}
    assert await mongo.do("count", filter={"age": {"$gte": 28}}) == {"count": 2}
    with pytest.raises(FlowExecutionError, match=r"MongoDB find failed: sort is given as"):
        await mongo.do("find", sort=["name", "age"])


async def test_documents_are_changed_and_removed(mongo: Mongo) -> None:
    """The first or all that match; an upsert returns the new id."""
    await mongo.do("insert", documents=PEOPLE)
    old = {"age": {"$gt": 25}}
    told = await mongo.do("update", filter={"name": "Ada"}, update={"$set": {"age": 37}})
    assert told == {"matched_count": 1, "modified_count": 1, "upserted_id": None}
    told = await mongo.do("update", filter=old, update={"$inc": {"age": 1}}, many=True)
    assert (told["matched_count"], told["modified_count"]) == (2, 2)
    told = await mongo.do("update", filter={"name": "Di"}, update={"$set": {"age": 1}}, upsert=True)
    assert told["matched_count"] == 0
    found = await mongo.do("find_one", filter={"_id": told["upserted_id"]})
    assert (found["document"]["name"], found["document"]["age"]) == ("Di", 1)
    assert await mongo.do("delete", filter=old) == {"deleted_count": 1}
    assert await mongo.do("delete", filter={}, many=True) == {"deleted_count": 3}
    with pytest.raises(FlowExecutionError, match=r"MongoDB update failed: .*\$"):
        await mongo.do("update", filter={}, update={"age": 1})


async def test_a_pipeline_of_stages(mongo: Mongo) -> None:
    """`$match` finds by ids as a filter does."""
    ids = (await mongo.do("insert", documents=PEOPLE))["inserted_ids"]
    stages = [{"$match": {"_id": {"$in": ids[:2]}}}, {"$sort": {"age": 1}}, {"$limit": 1}]
    told = await mongo.do("aggregate", pipeline=stages)
    assert (told["count"], told["documents"][0]["name"]) == (1, "Bo")
    total = [{"$group": {"_id": None, "sum": {"$sum": "$age"}}}]
    assert (await mongo.do("aggregate", pipeline=total))["documents"][0]["sum"] == 84


async def test_values_that_only_one_side_has(mongo: Mongo) -> None:
    """Times, dates and decimals of other tasks' outputs can be kept."""
    moment = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    await mongo.do("insert", documents={"at": moment, "on": date(2026, 1, 2)})
    document = (await mongo.do("find_one"))["document"]
    assert document["at"] == moment
    assert document["on"] == datetime(2026, 1, 2, tzinfo=UTC)
    from flowlang.connections.mongodb.values import read, stored

    assert read(stored({"price": [Decimal("1.10")]})) == {"price": [Decimal("1.10")]}


def test_what_an_id_means_in_a_filter() -> None:
    """Both forms are looked for, but an upsert's document gets the id."""
    from bson import ObjectId

    text = "0123456789abcdef01234567"
    both = [ObjectId(text), text]
    assert selection({"_id": text, "other": text}) == {"_id": {"$in": both}, "other": text}
    assert selection({"_id": {"$nin": [text, 7]}}) == {"_id": {"$nin": [*both, 7]}}
    assert selection({"_id": {"$gt": text}}) == {"_id": {"$gt": text}}
    assert selection({"_id": 7}) == {"_id": 7}
    assert upserted({"_id": text}) == {"_id": ObjectId(text)}
    assert selection(None) == {}


async def test_what_cannot_be_is_reported(mongo: Mongo) -> None:
    """In the server's words, or ours."""
    await mongo.do("insert", documents={"_id": 1})
    with pytest.raises(FlowExecutionError, match=r"^MongoDB insert failed: "):
        await mongo.do("insert", documents={"_id": 1})
    for wrong in ("x", ["x"], 7):
        with pytest.raises(FlowExecutionError, match=r"documents must be a mapping, or a list"):
            await mongo.do("insert", documents=wrong)
    with pytest.raises(FlowExecutionError, match=r"a filter must be a mapping"):
        await mongo.do("delete", filter="x")


async def test_a_server_that_is_not_there_is_reported() -> None:
    """After the time that the configuration gives, without what is secret in the URL."""
    wrong = {"type": "mongodb", "url": "mysql://x", "database": "d"}
    with pytest.raises(ConnectionError, match="url must start with mongodb://"):
        await ConnectionManager({"db": wrong}).initialize()
    gone = {"url": "mongodb://u:hidden-pass@127.0.0.1:1/", "server_selection_timeout_ms": 1000}
    with pytest.raises(ConnectionError, match=r"Failed to connect 'db' \(mongodb\)") as caught:
        await ConnectionManager({"db": {**wrong, **gone}}).initialize()
    assert "hidden-pass" not in str(caught.value)


async def test_the_example_runs(url: str, tmp_path: Path, monkeypatch: Any) -> None:
    """As it is generated."""
    monkeypatch.setenv("MONGODB_URL", url)
    monkeypatch.setenv("MONGODB_DATABASE", "test")
    assert main(["connection", "example", "mongodb", "--output", str(tmp_path)]) == 0
    told = await run_flow(Flow.read(tmp_path / "mongodb_example.yaml"))
    assert told == {"success": True, "outputs": {"text": "hello", "seen": True, "deleted": 1}}


async def test_a_server_that_went_away_is_noticed() -> None:
    """A check asks it, as the client does nothing by itself."""
    writers: list[asyncio.StreamWriter] = []
    handler = NeoSQLiteHandler(":memory:")

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)
        await handle_client(reader, writer, handler)

    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    url = f"mongodb://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
    config = {"url": url, "database": "test", "server_selection_timeout_ms": 1000}
    kept = KeptConnections()
    await kept.configure({"db": {"type": "mongodb", **config}})
    assert await kept.check("db") is None
    server.close()
    for writer in writers:
        writer.transport.abort()
    assert "Failed to check 'db' (mongodb): " in str(await kept.check("db"))
    await kept.close()


async def test_documents_are_cut_and_that_is_reported(mongo: Mongo, url: str) -> None:
    """What is found, and what comes out of a pipeline."""
    await mongo.do("insert", documents=[{"n": number, "text": "x" * 300} for number in range(9)])
    for limit, count in (({"max_rows": 4}, 4), ({"max_bytes": 1000}, 2)):
        config = {"type": "mongodb", "url": url, "database": "test", **limit}
        async with ConnectionManager({"db": config}) as manager:
            small = Mongo(manager)
            for told in (await small.do("find"), await small.do("aggregate", pipeline=[])):
                assert (told["count"], told["truncated"]) == (count, True)
            few = await small.do("find", limit=2)
            assert (few["count"], "truncated" in few) == (2, False)


async def test_only_documents_that_are_kept_are_decoded(
    mongo: Mongo, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Their size is that of their bytes; one document that is too large is refused."""
    made: list[int] = []

    def counted(document: Any, options: Any) -> Any:
        made.append(len(document.raw))
        return decoded(document, options)

    monkeypatch.setattr(provider, "decoded", counted)
    await mongo.do("insert", documents=[{"text": "x" * size} for size in (300, 100_000, 300)])
    config = {"type": "mongodb", "url": url, "database": "test", "max_bytes": 1000}
    async with ConnectionManager({"db": config}) as manager:
        small = Mongo(manager)
        for told in (await small.do("find"), await small.do("aggregate", pipeline=[])):
            assert (told["count"], told["truncated"]) == (1, True)
        with pytest.raises(FlowExecutionError, match=r"document has 1000.. bytes, above max_b"):
            await small.do("find_one", filter={"text": "x" * 100_000})
        assert (await small.do("find_one"))["found"] is True
    assert len(made) == 3
    assert max(made) < 1000
