"""The Milvus storage on Milvus in a file, with OpenAI's own library and a server in its place."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from lib.vcon_redis import AsyncVconRedis
from lib.web.http_client import close
from lib.web.http_retry import VendorError
from tests.canaries import canary
from tests.integration.support.http_stand_in import StandIn
from tests.integration.support.vendors_scene import HEARD, QUICK, transcribed
from tests.plugins.scene import Later, canonical, connected

milvus = Later("storage.milvus")
collection = Later("storage.milvus.collection")
texts = Later("storage.milvus.texts")
VCON = transcribed()
UUID = VCON["uuid"]
KEY = canary("key-for-vectors-be56")
VECTOR = [0.5, 0.25, 0.0, 1.0]
EMBEDDINGS = "/v1/embeddings"
CEILING_SECONDS = 60


def answer(vector: list[float]) -> dict[str, Any]:
    """What OpenAI answers when it is asked for a vector."""
    data = [{"object": "embedding", "index": 0, "embedding": vector}]
    usage = {"prompt_tokens": 1, "total_tokens": 1}
    return {"object": "list", "data": data, "model": "m", "usage": usage}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Where Milvus is, for the whole file: opening it takes half a second."""
    yield tmp_path_factory.mktemp("milvus") / "milvus.db"
    collection.close()


@pytest.fixture
async def options(server: Path, vendors: StandIn, redis_url: str) -> AsyncIterator[dict[str, Any]]:
    """Options of the storage, with an empty collection."""
    vendors.replies[EMBEDDINGS] = answer(VECTOR)
    options = {
        "uri": str(server),
        "api_key": KEY,
        "embedding_dim": len(VECTOR),
        "create_collection_if_missing": True,
        **QUICK,
    }
    async with connected(redis_url) as store, asyncio.timeout(CEILING_SECONDS):
        await store.put(VCON)
        yield options
        await asyncio.to_thread(empty)
        await close()


def empty() -> None:
    """Leave nothing in the collection."""
    for client in collection._clients.values():
        if client.has_collection("vcons"):
            client.delete("vcons", filter='vcon_uuid != ""')


def rows() -> list[dict[str, Any]]:
    """What is in the collection."""
    [client] = collection._clients.values()
    return list(client.query("vcons", filter='vcon_uuid != ""', output_fields=["*"]))


async def test_a_vcon_is_kept_with_its_vector_and_facts(
    options: dict[str, Any], vendors: StandIn
) -> None:
    """Once, however often it is saved; OpenAI is asked once."""
    for _ in range(2):
        await milvus.save(UUID, options)
    [row] = await asyncio.to_thread(rows)
    assert row.pop("id")
    assert row.pop("embedding") == VECTOR
    text = texts.text_of(VCON)
    assert HEARD in text
    assert row == {
        "vcon_uuid": UUID,
        "party_id": "tel:+12025550101",
        "text": text,
        "created_at": VCON["created_at"],
        "updated_at": "",
        "subject": VCON["subject"],
        "metadata_title": "",
        "has_transcript": True,
        "has_summary": False,
        "party_count": 2,
        "embedding_model": "text-embedding-3-small",
        "embedding_version": "1.0",
    }
    [asked] = vendors.asked(EMBEDDINGS)
    assert (asked["input"], asked["model"]) == (text, "text-embedding-3-small")


async def test_what_was_written_a_moment_ago_is_seen(
    options: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server that is asked for less may not tell of it for seconds; Milvus in a file always does.

    So what counts here is the request that Milvus is sent.
    """
    await milvus.save(UUID, options)
    [client] = collection._clients.values()
    stub, asked = client._handler._stub, []
    query = stub.Query
    monkeypatch.setattr(
        stub, "Query", lambda request, **rest: asked.append(request) or query(request, **rest)
    )
    await milvus.save(UUID, options)
    levels = [(each.use_default_consistency, each.consistency_level) for each in asked]
    assert levels == [(False, Later("pymilvus.client.types").ConsistencyLevel.Strong)]


async def test_a_vcon_that_is_there_is_replaced_where_that_is_wanted(
    options: dict[str, Any], vendors: StandIn
) -> None:
    """And is not there twice."""
    await milvus.save(UUID, options)
    vendors.replies[EMBEDDINGS] = answer([1.0, 0.0, 0.0, 0.0])
    await milvus.save(UUID, options | {"skip_if_exists": False})
    [row] = await asyncio.to_thread(rows)
    assert row["embedding"] == [1.0, 0.0, 0.0, 0.0]


async def test_a_vcon_that_says_nothing_any_more_is_removed(
    options: dict[str, Any],
) -> None:
    """Where a vCon that is saved again is to be replaced."""
    await milvus.save(UUID, options)
    await AsyncVconRedis().store_vcon_dict(
        {**VCON, "parties": [], "dialog": [], "analysis": [], "attachments": []}
    )
    await milvus.save(UUID, options)
    assert len(await asyncio.to_thread(rows)) == 1
    await milvus.save(UUID, options | {"skip_if_exists": False})
    assert await asyncio.to_thread(rows) == []


async def test_without_a_vector_nothing_is_kept(options: dict[str, Any], vendors: StandIn) -> None:
    """No zeros are stored in its place."""
    vendors.answers = ["400"]
    with pytest.raises(VendorError, match="answered 400"):
        await milvus.save(UUID, options)
    vendors.replies[EMBEDDINGS] = answer([1.0])
    with pytest.raises(
        ValueError, match=r"embedding_dim is 4, but .* returns vectors of 1 numbers"
    ):
        await milvus.save(UUID, options)
    assert await asyncio.to_thread(rows) == []


async def test_the_tokens_of_a_vector_are_reported(
    options: dict[str, Any], vendors: StandIn
) -> None:
    """If a usage URL is configured."""
    usage = {"send_ai_usage_data_to_url": f"{vendors.base}/usage", "ai_usage_api_token": KEY}
    await milvus.save(UUID, options | usage)
    [report] = vendors.asked("/usage")
    assert (report["record_id"], report["sub_type"]) == (UUID, "MILVUS_EMBEDDING")
    assert (report["ai_model"], report["unit_type"]) == ("text-embedding-3-small", "tokens")
    assert (report["input_units"], report["output_units"]) == (1, 0)


async def test_delete_says_whether_there_was_anything(options: dict[str, Any]) -> None:
    """True once, then False."""
    await milvus.save(UUID, options)
    assert [await milvus.delete(UUID, options) for _ in range(2)] == [True, False]


async def test_a_missing_collection_is_an_error(options: dict[str, Any]) -> None:
    """Unless it may be made."""
    other = {"collection_name": "others", "create_collection_if_missing": False}
    with pytest.raises(LookupError, match="create_collection_if_missing"):
        await milvus.save(UUID, options | other)


async def test_a_uuid_cannot_be_a_query(options: dict[str, Any]) -> None:
    """What is no plain name is not asked for."""
    with pytest.raises(ValueError, match="not a uuid"):
        await milvus.delete('x" or vcon_uuid != "', options)


def test_what_a_vcon_says() -> None:
    """Transcripts of any vendor, summaries, parties and texts; nothing is an empty text."""
    document = canonical("analysis-transcript-summary-sentiment-0.4.0")
    document["analysis"][0]["body"] = json.dumps({"transcript": "Words."})
    document["dialog"].append({"type": "text", "body": "A text."})
    assert texts.text_of(document) == (
        "Words. Beatriz renews the service plan for a year, tyres included. "
        "Party: Beatriz Lowell. Party: Tomasz Wrona. A text."
    )
    assert texts.text_of({"uuid": UUID}) == ""


@pytest.mark.parametrize(
    ("parties", "expected"),
    [
        ([{"uuid": "u", "tel": "1"}], "u"),
        ([{}, {"mailto": "a@b.example"}], "mailto:a@b.example"),
        ([{"name": "Ann", "role": "agent"}], "agent:Ann"),
        ([{"name": "Ann"}], "Ann"),
        ([{"role": "agent"}], "agent"),
        ([{}], "party_index:0"),
        ([], "no_party_info"),
    ],
)
def test_who_a_vcon_is_with(parties: list[dict[str, Any]], expected: str) -> None:
    """The best name of the first party that has one."""
    assert texts.party_id({"parties": parties}) == expected
