"""The S3 storage on a server that speaks it."""

from __future__ import annotations

import asyncio
import gzip
import json
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from lib import effects, vcon_egress_compat
from lib.web import http_client
from pipeline.config.parser import parse
from pipeline.law.reading.packing import parsed
from pipeline.plugins.loader import load
from pipeline.runs.vcon_store import VconStore
from tests.integration.support.http_stand_in import StandIn
from tests.integration.support.pipeline_fixtures import Scene, configured, storage
from tests.integration.support.vendors_scene import BUCKET, S3_KEYS
from tests.plugins.scene import TAGGED, Later, canonical, connected, sample_names

botocore = Later("botocore.exceptions")
s3, s3_client = Later("storage.s3"), Later("lib.s3_client")
VCON = canonical(TAGGED) | {"created_at": "2025-02-28T23:30:00-05:00"}
UUID = VCON["uuid"]
KEY = f"2025/02/28/{UUID}.vcon"
MISSING = "00000000-0000-8000-8000-000000000000"


@pytest.fixture
async def store(redis_url: str) -> AsyncIterator[VconStore]:
    """A store with one vCon behind the connection that plugins find."""
    async with connected(redis_url) as store:
        await store.put(VCON)
        yield store


@pytest.fixture(scope="module")
def options(s3_url: str) -> Iterator[dict[str, Any]]:
    """Options of the storage; the tests share its client, since one takes half a second."""
    yield {**S3_KEYS, "aws_bucket": BUCKET, "endpoint_url": s3_url, "aws_region": "us-east-1"}
    s3.close()


def objects(bucket: Any) -> dict[str, bytes]:
    """What is in the bucket."""
    return {each.key: each.get()["Body"].read() for each in bucket.objects.all()}


async def save(options: dict[str, Any], vcon_uuid: str = UUID) -> None:
    """Save as the worker does, in a thread."""
    await asyncio.to_thread(s3.save, vcon_uuid, options)


@pytest.mark.usefixtures("store")
async def test_the_layout_is_vcon_servers(options: dict[str, Any], bucket: Any) -> None:
    """The vCon by the day it says it was made, and beside it where to look; again, the same."""
    for _ in range(2):
        await save(options)
        assert sorted(objects(bucket)) == [KEY, f"lookup/{UUID}.txt"]
    assert json.loads(objects(bucket)[KEY]) == VCON
    assert objects(bucket)[f"lookup/{UUID}.txt"] == b"2025/02/28"


@pytest.mark.usefixtures("store")
async def test_gzip_of_another_program_is_read(options: dict[str, Any], bucket: Any) -> None:
    """As bytes, which the service unpacks."""
    await save(options)
    bucket.put_object(Key=KEY, Body=gzip.compress(json.dumps(VCON).encode(), mtime=0))
    found = await asyncio.to_thread(s3.get, UUID, options)
    assert parsed(found, 100_000) == VCON


DATES = ("2026-03-01T10:00:00Z", "2026-03-02T10:00:00Z", "0001-01-01T00:00:00+14:00")


async def test_a_vcon_that_moves_to_another_day_leaves_nothing(
    store: VconStore, options: dict[str, Any], bucket: Any
) -> None:
    """One object is there after each save, that of the last day, and none after the delete."""
    for date in (*DATES, *DATES[::-1]):
        moved = VCON | {"created_at": date}
        await store.put(moved)
        await save(options)
        day = date[:10].replace("-", "/")
        assert sorted(objects(bucket)) == [f"{day}/{UUID}.vcon", f"lookup/{UUID}.txt"]
        assert await asyncio.to_thread(s3.get, UUID, options) == moved
    assert await asyncio.to_thread(s3.delete, UUID, options)
    assert objects(bucket) == {}


@pytest.mark.parametrize("step", range(1, 7))
async def test_a_save_that_ends_half_way_leaves_nothing_behind(
    store: VconStore, options: dict[str, Any], bucket: Any, step: int
) -> None:
    """Whichever of its requests is the last, the vCon can be read; a later save or delete finds
    all there is.
    """
    events, sent = s3.client(s3.Options.of(options)).meta.events, []

    def stop(**_: Any) -> None:
        sent.append(step)
        if len(sent) == step:
            raise InterruptedError

    await store.put(VCON | {"created_at": DATES[0]})
    await save(options)
    await store.put(VCON | {"created_at": DATES[1]})
    events.register("before-send.s3", stop)
    try:
        with pytest.raises(InterruptedError):
            await save(options)
    finally:
        events.unregister("before-send.s3", stop)
    kept = await asyncio.to_thread(s3.get, UUID, options)
    assert kept is not None
    assert kept["created_at"] in DATES[:2]
    await store.put(VCON | {"created_at": DATES[2]})
    if step % 2:
        await save(options)
        assert len(objects(bucket)) == 2
    await asyncio.to_thread(s3.delete, UUID, options)
    assert objects(bucket) == {}


@pytest.mark.usefixtures("store")
async def test_without_the_right_to_list(
    vendors: StandIn, options: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    """S3 answers 403 for what is not there: a save goes on, a read and a delete name the right."""
    theirs = options | {"endpoint_url": vendors.base}
    vendors.answers.append("403")
    await save(theirs)
    assert vendors.methods == ["GET", "PUT", "PUT"]
    assert "s3:ListBucket" in str(caplog.records[-1].__dict__["error"])
    for function in (s3.get, s3.delete):
        vendors.answers.append("403")
        with pytest.raises(PermissionError, match="s3:ListBucket"):
            await asyncio.to_thread(function, UUID, theirs)


@pytest.mark.usefixtures("store")
@pytest.mark.parametrize(
    ("checksums", "sent"), [(None, False), ("when_required", False), ("when_supported", True)]
)
async def test_other_servers_get_no_checksums_unless_asked_for(
    vendors: StandIn, options: dict[str, Any], checksums: str | None, *, sent: bool
) -> None:
    """Many servers that speak S3 refuse requests that carry what botocore adds by default."""
    theirs = options | {"endpoint_url": vendors.base, "checksums": checksums}
    vendors.answers.append("404")
    await save(theirs)
    heads = [headers for _, headers, body in vendors.got if body]
    odd = [
        name
        for headers in heads
        for name in headers
        if "checksum" in name or name == "x-amz-trailer" or headers[name] == "aws-chunked"
    ]
    assert len(heads) == 2
    assert bool(odd) == sent


@pytest.mark.parametrize(
    ("url", "checked"), [("http://127.0.0.1:9", "when_required"), (None, "when_supported")]
)
def test_the_server_that_the_environment_names_counts(
    monkeypatch: pytest.MonkeyPatch, url: str | None, checked: str
) -> None:
    """`AWS_ENDPOINT_URL` is another server, too; Amazon's own gets what botocore does."""
    if url:
        monkeypatch.setenv("AWS_ENDPOINT_URL", url)
    client = s3_client.made(
        s3.Options.of({**S3_KEYS, "aws_bucket": BUCKET, "aws_region": "us-east-1"})
    )
    assert client.meta.config.request_checksum_calculation == checked
    client.close()


@pytest.mark.usefixtures("store")
async def test_a_path_comes_before_all_keys(options: dict[str, Any], bucket: Any) -> None:
    """With or without a slash at its end."""
    await save(options | {"s3_path": "a/b/"})
    assert sorted(objects(bucket)) == [f"a/b/{KEY}", f"a/b/lookup/{UUID}.txt"]
    assert await asyncio.to_thread(s3.get, UUID, options | {"s3_path": "a/b"}) == VCON


@pytest.mark.usefixtures("bucket")
async def test_samples_of_all_kinds_come_back(store: VconStore, options: dict[str, Any]) -> None:
    """As they were in Redis."""
    for before in map(canonical, sample_names()[::3]):
        await store.put(before)
        await save(options, before["uuid"])
        assert await asyncio.to_thread(s3.get, before["uuid"], options) == before


@pytest.mark.usefixtures("store", "bucket")
async def test_delete_and_get_say_whether_there_was_anything(options: dict[str, Any]) -> None:
    """True once, then False; a vCon, then None."""
    await save(options)
    found = [await asyncio.to_thread(s3.delete, UUID, options) for _ in range(2)]
    assert found == [True, False]
    assert await asyncio.to_thread(s3.get, UUID, options) is None


@pytest.mark.usefixtures("store")
async def test_others_read_the_old_form(
    options: dict[str, Any], bucket: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With EGRESS_FORMAT_VERSION=0.0.1."""
    monkeypatch.setattr(vcon_egress_compat, "_version", "0.0.1")
    await save(options)
    assert json.loads(objects(bucket)[KEY]) == vcon_egress_compat.to_legacy(VCON, "0.0.1")


@pytest.mark.usefixtures("store")
async def test_errors_are_told_and_not_taken_for_an_empty_bucket(options: dict[str, Any]) -> None:
    """A bucket or a server that is not there is an error for every function."""
    nowhere = options | {"endpoint_url": "http://127.0.0.1:9", "timeout": 1}
    for function in (s3.save, s3.get, s3.delete):
        with pytest.raises(botocore.ClientError, match="NoSuchBucket"):
            await asyncio.to_thread(function, UUID, options)
    with pytest.raises(botocore.BotoCoreError, match="Could not connect"):
        await asyncio.to_thread(s3.get, UUID, nowhere)


@pytest.mark.usefixtures("store", "bucket")
async def test_a_vcon_that_is_not_in_redis_is_an_error(options: dict[str, Any]) -> None:
    """Which a chain takes for a failed save."""
    with pytest.raises(LookupError, match=MISSING):
        await save(options, MISSING)


async def test_a_uuid_with_a_path_in_it_makes_no_key(
    store: VconStore, options: dict[str, Any], bucket: Any
) -> None:
    """Keys are made of checked uuids and parsed dates, and of nothing else that a vCon says."""
    await store.put({**VCON, "uuid": "../outside"})
    for function in (s3.save, s3.get, s3.delete):
        with pytest.raises(ValueError, match="not a uuid"):
            await asyncio.to_thread(function, "../outside", options)
    await store.put({**VCON, "created_at": "../../2025"})
    await save(options)
    assert sorted(objects(bucket)) == [f"1970/01/01/{UUID}.vcon", f"lookup/{UUID}.txt"]


@pytest.mark.usefixtures("store", "bucket")
async def test_one_client_serves_all_threads(options: dict[str, Any]) -> None:
    """One client per set of options, also for concurrent calls."""
    s3.close()
    await asyncio.gather(*(save(options) for _ in range(8)))
    assert len(s3_client._clients) == 1


@pytest.mark.parametrize(("given", "at_once", "kept"), [(None, 4, 10), (None, 64, 64), (3, 64, 3)])
def test_connections_are_kept_for_all_vcons_at_once(
    monkeypatch: pytest.MonkeyPatch, given: int | None, at_once: int, kept: int
) -> None:
    """Or else most requests would open a connection of their own."""
    monkeypatch.setattr(http_client, "_at_once", http_client._at_once)
    http_client.fit(at_once)
    options = {**S3_KEYS, "aws_bucket": BUCKET, "aws_region": "us-east-1", "connections": given}
    client = s3_client.made(s3.Options.of(options))
    assert client.meta.config.max_pool_connections == kept
    client.close()


def test_options_are_checked_at_the_start() -> None:
    """The bucket must be named; those of the document are taken."""
    given = {"aws_access_key_id": "k", "aws_secret_access_key": "s", "aws_bucket": "b"}
    config = parse(
        {
            "storages": {"s3": {"module": "storage.s3", "options": given}},
            "chains": {"c": {"links": [], "storages": ["s3"]}},
        },
        {},
    )
    assert load(config).storage(config.chains["c"], "s3").fresh_options().aws_bucket == "b"
    with pytest.raises(ValueError, match="aws_bucket"):
        s3.Options.of({})


async def test_the_object_names_the_step(
    scene: Scene, options: dict[str, Any], bucket: Any
) -> None:
    """Its metadata has the effect key of the step that wrote it."""
    keys: list[str] = []

    def save(vcon_uuid: str, _options: Any) -> None:
        keys.append(effects.key())
        s3.save(vcon_uuid, options)

    await scene.start(configured(links=[], storages=[storage(save)]))
    [vcon_uuid] = await scene.feed()
    assert (await scene.ended()).status == "done"
    found = [each.Object() for each in bucket.objects.all() if f"{vcon_uuid}.vcon" in each.key]
    assert [each.metadata for each in found] == [{"effect-key": key} for key in keys]
