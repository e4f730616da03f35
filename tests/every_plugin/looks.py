"""What plugins have done, seen without them: in the vCon, and where they have put it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
from redis import Redis

from tests.every_plugin.world import BUCKET, S3_KEYS, World, boto3
from tests.plugins.scene import Later

pymongo = Later("pymongo")

type Document = dict[str, Any]
type Look = Callable[[World, Document], object]


def stored(world: World, uuid: str) -> Document:
    """The vCon as it is in Redis."""
    with Redis.from_url(world.redis_url) as client:
        found: Document = json.loads(client.execute_command("JSON.GET", f"vcon:{uuid}"))
        return found


def analysed(kind: str, vendor: str | None = None) -> Look:
    """The analyses of this type, and vendor."""
    return lambda _, document: [
        each
        for each in document["analysis"]
        if each["type"] == kind and vendor in (None, each["vendor"])
    ]


def tagged(tag: str) -> Look:
    """The attachments with the tag."""
    return lambda _, document: [
        each for each in document["attachments"] if tag in json.dumps(each.get("body"))
    ]


def told(path: str) -> Look:
    """What was sent to a path the last time."""
    return lambda world, _: world.http.asked(path)[-1:]


def files(world: World, _: Document) -> object:
    """The files of `storage.file`, by name."""
    folder = Path(world.folder / "files")
    found = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in found}


def rows(world: World, _: Document) -> object:
    """The table of `storage.postgres`."""
    with psycopg.connect(world.postgres_url) as connection:
        return connection.execute("SELECT id, vcon_json FROM vcons").fetchall()


def documents(world: World, _: Document) -> object:
    """The collection of `storage.mongo`."""
    with pymongo.MongoClient(world.mongo_url) as client:
        return list(client["conserver"]["vcons"].find())


def objects(world: World, _: Document) -> object:
    """The bucket of `storage.s3`."""
    client = boto3.client("s3", endpoint_url=world.s3_url, region_name="us-east-1", **S3_KEYS)
    try:
        names = [each["Key"] for each in client.list_objects_v2(Bucket=BUCKET).get("Contents", ())]
        return {name: client.get_object(Bucket=BUCKET, Key=name)["Body"].read() for name in names}
    finally:
        client.close()


def copies(world: World, document: Document) -> object:
    """The key of `storage.redis_storage`."""
    with Redis.from_url(world.redis_url) as client:
        return client.get(f"vcon_storage:{document['uuid']}")
