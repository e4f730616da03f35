"""The storages for a database, an API and S3 as vcon-server's documents give them, unchanged."""

from __future__ import annotations

import asyncio
import importlib
import json
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import psycopg
import pytest

import storage
from devstack.servers.postgres import Postgres
from lib.vcon_server import aliases
from pipeline.config.parser import parse
from pipeline.plugins.loader import LoadedStorage, load
from pipeline.runs.vcon_store import VconStore
from tests.canaries import canary
from tests.integration.support.http_stand_in import StandIn
from tests.plugins.scene import PLUGINS, Later, canonical, connected

boto3 = Later("boto3")
NAMES = ("my_database", "api_storage", "cloud_storage")
TABLE = "CREATE TABLE vcons (uuid text PRIMARY KEY, data text, created_at timestamptz)"
SECRET = canary("secret-of-a-documents-storage-064d")


@pytest.fixture(autouse=True)
def _installed(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The folder with the storages is on the path, beside the built-in ones."""
    aliases.install()
    monkeypatch.syspath_prepend(PLUGINS / "storages")
    monkeypatch.setattr(storage, "__path__", list(storage.__path__))
    importlib.reload(storage)
    yield
    for name in NAMES:
        sys.modules.pop(f"storage.{name}", None)


@pytest.fixture(autouse=True)
async def store(redis_url: str) -> AsyncIterator[VconStore]:
    """An empty store behind the connection that plugins find."""
    async with connected(redis_url) as store:
        yield store


@pytest.fixture
def my_database(postgres_server: Postgres, empty_database: str) -> dict[str, Any]:
    """Options for a database that has the document's table."""
    with psycopg.connect(postgres_server.url(empty_database)) as connection:
        connection.execute(TABLE)
    return {
        "host": postgres_server.host,
        "port": postgres_server.port,
        "database": empty_database,
        "user": postgres_server.user,
        "password": postgres_server.password,
    }


@pytest.fixture
def api_storage(vendors: StandIn) -> dict[str, Any]:
    """Options for a server that gives back what it has been sent."""

    def keep(body: bytes) -> dict[str, Any]:
        vendors.replies[f"/vcons/{json.loads(body)['uuid']}"] = body
        return {}

    vendors.replies["/vcons"] = keep
    return {"base_url": vendors.base, "api_key": SECRET, "timeout": 10}


@pytest.fixture
def cloud_storage(s3_url: str) -> Iterator[dict[str, Any]]:
    """Options for a bucket that is empty."""
    keys = {"aws_access_key_id": "who", "aws_secret_access_key": SECRET}
    resource = boto3.resource("s3", endpoint_url=s3_url, region_name="us-east-1", **keys)
    bucket = resource.create_bucket(Bucket="of-the-documents")
    yield {
        "bucket": bucket.name,
        "prefix": "kept",
        "access_key": "who",
        "secret_key": SECRET,
        "endpoint_url": s3_url,
    }
    bucket.objects.all().delete()
    bucket.delete()
    resource.meta.client.close()


@pytest.fixture(params=NAMES)
def loaded(request: pytest.FixtureRequest) -> LoadedStorage:
    """Each storage as a chain has it."""
    spec = {
        "module": f"storage.{request.param}",
        "options": request.getfixturevalue(request.param),
    }
    chain = {"links": [], "storages": ["it"]}
    config = parse({"storages": {"it": spec}, "chains": {"my_chain": chain}}, {})
    return load(config).storage(config.chains["my_chain"], "it")


async def call(function: Callable[..., Any] | None, loaded: LoadedStorage, vcon_uuid: str) -> Any:
    """What the storage returns, called as the worker calls it: in a thread."""
    assert function is not None
    return await asyncio.to_thread(function, vcon_uuid, loaded.fresh_options())


async def test_a_vcon_comes_back_and_goes(store: VconStore, loaded: LoadedStorage) -> None:
    """As the `vcon` library writes it: the moment it was made in its own form, all else equal."""
    for name in ("recording-by-url-0.4.0", "tags-as-list-0.0.1"):
        before = canonical(name)
        await store.put(before)
        for _ in range(2):
            await call(loaded.save, loaded, before["uuid"])
        after = await call(loaded.get, loaded, before["uuid"])
        assert {**after, "created_at": None} == {**before, "created_at": None}
        assert await call(loaded.delete, loaded, before["uuid"]) is True
