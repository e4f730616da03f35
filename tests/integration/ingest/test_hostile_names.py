"""Keys, files, collections and paths that storages write: none is made of what stands in a vCon.

Each storage saves vCons in which every text is hostile, on a server or a disk of its own; the names
of all that is there afterwards are looked at.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID, uuid5

import psycopg
import pytest

from devstack.servers.postgres import Postgres
from lib.recordings import audio
from lib.recordings.kinds import name_for
from lib.web import http_client
from pipeline.runs.vcon_store import VconStore
from tests.integration.support.elasticsearch_stand_in import ElasticStandIn
from tests.integration.support.http_stand_in import StandIn, stand_in
from tests.integration.support.mongo_stand_in import mongo_server
from tests.integration.support.postgres_scene import as_options, as_settings
from tests.integration.support.vendors.dataverse import dataverse as dataverse_at
from tests.integration.support.vendors.openai_files import openai_files
from tests.integration.support.vendors.sftp import sftp_server
from tests.integration.support.vendors.vcon_mcp import vcon_mcp as rest_of_vcon_mcp
from tests.integration.support.vendors_scene import QUICK, transcribed
from tests.plugins.scene import Later, connected

boto3, pymongo = Later("boto3"), Later("pymongo")
file, s3, mongo = Later("storage.file"), Later("storage.s3"), Later("storage.mongo")
redis_storage, postgres = Later("storage.redis_storage"), Later("storage.postgres")
elasticsearch, milvus = Later("storage.elasticsearch"), Later("storage.milvus")
collection, webhook = Later("storage.milvus.collection"), Later("storage.webhook")
sftp, jlinc = Later("storage.sftp"), Later("tracers.jlinc")
vcon_mcp, dataverse = Later("storage.vcon_mcp"), Later("storage.dataverse")
chatgpt_files = Later("storage.chatgpt_files")

MARK = "zzhostile"
"""It stands in every text of the vCons, and in no name of ours."""
HOSTILE = (
    f"../../../{MARK}",
    f"/etc/{MARK}",
    f"C:\\{MARK}\\..\\..",
    f"{MARK}\0tail",
    MARK + "x" * 1000,
    f"$where{MARK}",
    f"*?[a-z]*{MARK}",
    f"%2e%2e%2f{MARK}\r\nX-Header: 1",
    f"{MARK}' OR '1'='1",
    f"{{{{{MARK}}}}}${{env.HOME}}",
    f"2025-02-28T00:00:00Z/../../{MARK}",
)
DAY = r"\d{4}/\d\d/\d\d"
NAME = r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"
SECRETS = {"aws_access_key_id": "who", "aws_secret_access_key": "s3-secret-of-the-test"}
CEILING_SECONDS = 60


def hostile(value: str) -> dict[str, Any]:
    """A vCon with parts of all kinds, in which this is every text and the name of a field."""
    attachment = {"purpose": "tenant", "body": '{"id": 7}', "encoding": "json"}
    whole = transcribed() | {"attachments": [attachment, {"type": "x", "body": "y"}]}
    whole |= {"updated_at": "x", "subject": "x", "group": [{"uuid": "x"}], "redacted": {"uuid": ""}}
    whole["dialog"][0] |= {"filename": "x", "mediatype": "x", "session_id": "x"}
    document = {key: _replaced(each, value) for key, each in whole.items()} | {value: value}
    return document | {"uuid": str(uuid5(UUID(int=0), value))}


def _replaced(part: Any, value: str) -> Any:
    if isinstance(part, dict):
        return {key: _replaced(each, value) for key, each in part.items()}
    if isinstance(part, list):
        return [_replaced(each, value) for each in part]
    return value if isinstance(part, str) else part


VCONS = {document["uuid"]: document for document in map(hostile, HOSTILE)}


@pytest.fixture(autouse=True)
async def store(redis_url: str) -> AsyncIterator[VconStore]:
    """A store with all of them behind the connection that plugins find."""
    async with connected(redis_url) as store, asyncio.timeout(CEILING_SECONDS):
        for document in VCONS.values():
            await store.put(document)
        yield store


async def saved(storage: Any, options: dict[str, Any]) -> int:
    """How many could be saved: a server may refuse a date or a NUL, but not by a name."""
    count = 0
    for vcon_uuid in VCONS:
        with suppress(Exception):
            if asyncio.iscoroutinefunction(getattr(storage.save, "__wrapped__", storage.save)):
                await storage.save(vcon_uuid, options)
            else:
                await asyncio.to_thread(storage.save, vcon_uuid, options)
            count += 1
    return count


def strange(names: Any, *patterns: str) -> list[str]:
    """Those that are of none of these forms."""
    forms = [re.compile(each) for each in patterns]
    return [each for each in names if not any(form.fullmatch(each) for form in forms)]


async def test_files(tmp_path: Path) -> None:
    """A uuid in the folder of a day, and the note of its place; nothing beside the folder."""
    assert await saved(file, {"path": tmp_path / "in" / "vcons"}) == len(VCONS)
    names = await asyncio.to_thread(_files_below, tmp_path)
    note = r"in/vcons/\.lookup/[0-9a-f]{2}/[0-9a-f-]{34}"
    assert strange(names, rf"in/vcons/({DAY}/)?{NAME}\.json", note) == []
    assert len(names) == 2 * len(VCONS)


def _files_below(folder: Path) -> list[str]:
    found = (each for each in folder.rglob("*") if each.is_symlink() or each.is_file())
    return [str(each.relative_to(folder)) for each in found]


async def test_files_of_sftp(tmp_path: Path) -> None:
    """The name of the options, a uuid and a date; nothing beside the folder."""
    async with sftp_server(tmp_path) as server:
        (tmp_path / "in").mkdir()
        assert await saved(sftp, server.options | {"path": "in"}) == len(VCONS)
        assert strange(server.files(), rf"in/vcon_{NAME}(_\d{{8}}T\d{{6}}Z)?\.json") == []
        assert len(server.files()) == len(VCONS)
        await sftp.close()


async def test_objects_of_s3(s3_url: str) -> None:
    """A uuid and a day."""
    access = {"endpoint_url": s3_url, **SECRETS}
    client = await asyncio.to_thread(boto3.client, "s3", region_name="us-east-1", **access)
    await asyncio.to_thread(client.create_bucket, Bucket="hostile")
    options = {**access, "aws_bucket": "hostile", "aws_region": "us-east-1", "s3_path": "in"}
    assert await saved(s3, options) == len(VCONS)
    listed = await asyncio.to_thread(client.list_objects_v2, Bucket="hostile")
    keys = [each["Key"] for each in listed["Contents"]]
    assert strange(keys, rf"in/{DAY}/{NAME}\.vcon", rf"in/lookup/{NAME}\.txt") == []
    assert len(keys) == 2 * len(VCONS)
    buckets = await asyncio.to_thread(client.list_buckets)
    assert [each["Name"] for each in buckets["Buckets"]] == ["hostile"]
    await asyncio.to_thread(client.delete_objects, Bucket="hostile", Delete=_all(keys))
    await asyncio.to_thread(client.delete_bucket, Bucket="hostile")
    client.close()
    s3.close()


def _all(keys: list[str]) -> dict[str, Any]:
    return {"Objects": [{"Key": key} for key in keys]}


async def test_keys_of_redis(store: VconStore, redis_url: str) -> None:
    """The prefix of the options and a uuid."""
    import redis

    with redis.Redis.from_url(redis_url, decode_responses=True) as client:
        before = set(client.keys())
        assert await saved(redis_storage, {"prefix": "shelf"}) == len(VCONS)
        new = set(client.keys()) - before
    assert strange(new, f"shelf:{NAME}") == []
    assert len(new) == len(VCONS)


async def test_collections_of_mongodb() -> None:
    """The one of the options; ids are uuids."""
    async with mongo_server() as url:
        assert await saved(mongo, {"url": url, "database": "d", "collection": "c"}) > 0
        async with pymongo.AsyncMongoClient(url) as client:
            assert await client["d"].list_collection_names() == ["c"]
            ids = [each["_id"] async for each in client["d"]["c"].find()]
        assert strange(ids, NAME) == []
        await mongo.close()


async def test_tables_of_postgres(postgres_server: Postgres, empty_database: str) -> None:
    """The one of the options; rows are found by uuids."""
    options = as_options(postgres_server, empty_database)
    with psycopg.connect(**as_settings(options), autocommit=True) as database:
        tables = "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace"
        assert await saved(postgres, options) > 0
        names = [name for (name,) in database.execute(tables)]
        ids = [str(each) for (each,) in database.execute("SELECT id FROM vcons")]
    await postgres.close()
    assert strange(names, "vcons.*") == []
    assert strange(ids, NAME) == []


@pytest.mark.parametrize("named", [["customer"], None])
async def test_indexes_of_elasticsearch(named: list[str] | None) -> None:
    """Those that the configuration names; without that a bounded number of harmless names."""
    with stand_in(ElasticStandIn()) as server:
        options = {"url": server.base, "index_names": named, "max_indexes": 15, **QUICK}
        assert await saved(elasticsearch, options) == len(VCONS)
        indexes = {index for index, _ in server.documents} - {"patchcord_parts", "vcon_dialog"}
        ids = {name for _, name in server.documents} - {"index_names"}
        await elasticsearch.close()
    shared = {f"vcon_{kind}_other" for kind in ("parties", "attachments", "analysis")}
    assert indexes >= shared
    assert len(indexes - shared) == (0 if named else 15)
    assert strange(indexes, r'vcon_[a-z]+_[^\x00-\x20\x7f\\/*?"<>|,#:]{1,100}') == []
    assert strange(ids, rf"{NAME}(_\d+)?") == []
    assert strange({urlsplit(path).path for path, _, _ in server.got}, r"/[\w/.%*-]*") == []
    assert not [path for path, _, _ in server.got if MARK in path]


async def test_collections_of_milvus(tmp_path: Path, vendors: StandIn) -> None:
    """The one of the options; rows are found by uuids."""
    data = [{"object": "embedding", "index": 0, "embedding": [0.5, 0.5, 0.0, 1.0]}]
    usage = {"prompt_tokens": 1, "total_tokens": 1}
    answer = {"object": "list", "data": data, "model": "m", "usage": usage}
    vendors.replies["/v1/embeddings"] = answer
    options = {"uri": str(tmp_path / "m.db"), "api_key": "k", "embedding_dim": 4, **QUICK}
    assert await saved(milvus, options | {"create_collection_if_missing": True}) > 0
    [client] = collection._clients.values()
    assert await asyncio.to_thread(client.list_collections) == ["vcons"]
    rows = await asyncio.to_thread(client.query, "vcons", filter='vcon_uuid != ""')
    assert strange([row["vcon_uuid"] for row in rows], NAME) == []
    await asyncio.to_thread(collection.close)
    await http_client.close()
    assert not [path for path, _, _ in vendors.got if MARK in path]


async def test_paths_of_receivers_and_tracers() -> None:
    """Those of the options: nothing of a vCon is in a URL or a header."""
    with stand_in(StandIn()) as server:
        server.replies = {
            "/api/v1/data/entity/domains/get": ["jlinc.example"],
            "/api/v1/data/entity/get": {"didDoc": {"id": "did:jlinc:x"}},
            "/api/v1/data/event/produce": {"created": {"eventId": "e"}},
        }
        assert await saved(webhook, {"webhook-urls": [f"{server.base}/hook"]}) == len(VCONS)
        keys = {"data_store_api_key": "k", "archive_api_key": "k"}
        options = {"data_store_api_url": server.base, **keys, **QUICK}
        for vcon_uuid in VCONS:
            await jlinc.run(vcon_uuid, vcon_uuid, "jlinc", ["one"], -1, options)
        paths = {path for path, _, _ in server.got}
        assert strange(paths, "/hook", r"/api/v1/data/[a-z]+(/[a-z]+)*") == []
        heads = "".join(str(headers) for _, headers, _ in server.got)
        assert MARK not in heads
        await http_client.close()


async def test_paths_of_rest_apis(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of vCon-MCP, Dataverse and OpenAI: uuids, and the names of the options."""
    with rest_of_vcon_mcp() as mcp, dataverse_at() as table, openai_files() as openai:
        monkeypatch.setenv("OPENAI_BASE_URL", f"{openai.url}/v1")
        await saved(vcon_mcp, mcp.options)  # it refuses them, for other members
        assert await saved(dataverse, table.options) == len(VCONS)
        assert await saved(chatgpt_files, openai.options) == len(VCONS)
        await http_client.close()
        assert strange(mcp.vcons, NAME) == strange(table.rows, NAME) == []
        names = [file["filename"] for file in openai.files.values()]
        assert strange(names, rf"{NAME}\.vcon\.json") == []
        for server in (mcp, table, openai):
            assert len(server.got) >= len(VCONS)
            assert not [path for path, _, _ in server.got if MARK in path]
            assert MARK not in "".join(str(headers) for _, headers, _ in server.got)


def test_files_that_ffmpeg_reads(tmp_path: Path) -> None:
    """A recording is in a folder of its own, under an ending of a kind that is known."""
    for number, value in enumerate(HOSTILE):
        for ending in ("", ".wav", f".{value}"):
            folder = tmp_path / f"{number}{len(ending)}"
            folder.mkdir()
            dialog = {"filename": value + ending, "url": value, "mediatype": value}
            name = name_for(dialog, b"x", frozenset(["wav", "mp3"]))
            audio._source(folder, name, b"x", ())
            assert strange([each.name for each in folder.iterdir()], r"whole\.[a-z0-9]{2,5}") == []
