"""What the tests of media share: a vCon with a recording, and a process with each store."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import orjson
import pytest
from redis import Redis

from pipeline.ingest.entry import make_entry
from pipeline.media import media as media_of
from pipeline.media.bodies import MARK
from pipeline.media.file_store import FileStore
from pipeline.media.media import Media
from pipeline.media.rules import NOTHING, Rule
from pipeline.media.s3_store import Bucket, S3Store
from pipeline.redis_client.client import RedisConnection
from tests.canaries import canary
from tests.integration.support.pipeline_fixtures import Scene, a_vcon

LEAST = 5000
AUDIO = "UklGRiQAAABXQVZFZm10" * 500
TRANSCRIPT = {"words": ["naïve", "☎"] * 1000}
BUCKET = "media"


def recorded(**changes: Any) -> dict[str, Any]:
    """A vCon with a recording inside, twice, and another large attachment."""
    dialog = {"type": "recording", "start": "2026-11-21T12:00:00+00:00", "parties": [0]}
    audio = {"body": AUDIO, "encoding": "base64url", "mediatype": "audio/wav"}
    words = {"body": orjson.dumps(TRANSCRIPT).decode(), "encoding": "json", "party": 0}
    return a_vcon(
        dialog=[dialog | audio, dialog | audio],
        attachments=[words | {"purpose": "notes", "start": dialog["start"]}],
        **changes,
    )


@asynccontextmanager
async def beside(
    kind: str | None, redis: RedisConnection, more: dict[str, Any] | None = None
) -> AsyncIterator[Media]:
    """A process with MEDIA_STORE set to this."""
    media = Media(redis, Rule(kind, LEAST) if kind else None, more)
    media_of.install(media)
    yield media
    media_of._installed.clear()
    media_of.put_in_force(NOTHING)


@asynccontextmanager
async def workers(redis: RedisConnection, client: Redis) -> AsyncIterator[Scene]:
    """A scene of that process."""
    scene = Scene(redis, client)
    yield scene
    await scene.close()


async def taken_in(scene: Scene, vcon: dict[str, Any], *lists: str) -> Any:
    """Take a vCon in as a caller's."""
    entry = await make_entry(offloaded, orjson.dumps(vcon), 10**7)
    return await scene.intake.ingest(entry, lists)


async def offloaded(function: Callable[..., Any], *args: Any, **options: Any) -> Any:
    """What would run in the helper process."""
    return function(*args, **options)


def in_redis(client: Redis, vcon_uuid: str) -> str:
    """The document as a program finds it that reads Redis itself."""
    text = client.execute_command("JSON.GET", f"vcon:{vcon_uuid}")
    assert text is not None
    return str(text)


def is_stripped(client: Redis, vcon_uuid: str) -> bool:
    """Whether the media are beside the document."""
    text = in_redis(client, vcon_uuid)
    assert (MARK in text) != (AUDIO in text)
    return MARK in text


@pytest.fixture(scope="module")
def s3_store(request: pytest.FixtureRequest) -> Iterator[Callable[[], S3Store]]:
    """The store of S3, with a bucket; the server is started when the first test asks for it."""
    stores: list[S3Store] = []

    def made() -> S3Store:
        if not stores:
            url: str = request.getfixturevalue("s3_url")
            stores.append(
                S3Store(Bucket(BUCKET, "", url, "us-east-1", "who", canary("bucket-c587")))
            )
            stores[0]._client().create_bucket(Bucket=BUCKET)
        return stores[0]

    yield made
    for client in (store._client() for store in stores):
        for each in client.list_objects_v2(Bucket=BUCKET).get("Contents", ()):
            client.delete_object(Bucket=BUCKET, Key=each["Key"])
        client.delete_bucket(Bucket=BUCKET)
        client.close()


@pytest.fixture(params=("redis", "file", "s3"))
def kind(request: pytest.FixtureRequest) -> str:
    """Each value of MEDIA_STORE."""
    return str(request.param)


@pytest.fixture
def more(kind: str, tmp_path: Path, s3_store: Callable[[], S3Store]) -> dict[str, Any]:
    """The stores of a process with this kind, besides Redis."""
    if kind == "file":
        return {"file": FileStore(tmp_path)}
    return {"s3": s3_store()} if kind == "s3" else {}
