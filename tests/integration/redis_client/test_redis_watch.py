"""A Redis without JSON, or that may lose vCons: the start, /ready and `check` tell of it."""

from __future__ import annotations

import json
import logging
import urllib.request
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from app.health import HealthServer
from app.preflight import checks_of
from core.errors import UnavailableError
from core.settings import Settings
from devstack.servers.valkey import Valkey
from pipeline.admin.redis_checks import RedisWatch, has_json, shortcomings
from pipeline.redis_client.client import CommandRefused, RedisConnection
from pipeline.redis_client.errors import NO_JSON

UNSAFE = {"appendfsync": "everysec", "appendonly": "no", "maxmemory-policy": "allkeys-lru"}


@pytest.fixture
def plain(reachable_folder: Path) -> Iterator[Valkey]:
    """A server without the JSON module."""
    server = Valkey.start(reachable_folder, json=False)
    yield server
    server.stop()


@pytest.fixture
async def without_json(plain: Valkey) -> AsyncIterator[RedisConnection]:
    """A connection to it."""
    redis = RedisConnection(plain.url)
    yield redis
    await redis.close()


def settings(url: str, folder: Path) -> Settings:
    """Of a service with a pipeline."""
    return Settings.model_validate(
        {
            "websocket_url": "ws://127.0.0.1:1/",
            "token": "t",
            "redis_url": url,
            "conserver_config_file": folder / "config.yml",
            **dict.fromkeys(("postgres_host", "postgres_user", "postgres_password"), "x"),
            **{f"postgres_db_{name}": "x" for name in ("development", "test", "production")},
            "postgres_port": 1,
        }
    )


async def test_redis_without_json_is_not_ready(
    without_json: RedisConnection, caplog: pytest.LogCaptureFixture
) -> None:
    """What it takes for a document to come in is a clear 503, in commands and in scripts."""
    assert not await without_json.reachable()
    assert not await has_json(without_json)
    document = "JSON.SET", "vcon:1", "$", "{}"
    with pytest.raises(UnavailableError, match=r"^Redis has no JSON: use Redis 8, or the"):
        await without_json.command(*document)
    refused = {"json": "return redis.call('JSON.SET', ARGV[1], '$', '{}')"}
    without_json._scripts = {**without_json._scripts, **refused}
    with pytest.raises(UnavailableError, match=r"^Redis has no JSON"):
        await without_json.script("json", "vcon:1")
    watch = RedisWatch(without_json)
    for _ in range(2):
        await watch.round()
    assert watch.warnings == [NO_JSON]
    told = [(each.levelno, vars(each)["error"]) for each in caplog.records]
    assert told == [(logging.ERROR, NO_JSON)]


async def test_the_check_says_so(plain: Valkey, tmp_path: Path) -> None:
    """With the address, and the remedy."""
    look = checks_of(settings(plain.url, tmp_path))["redis"]
    with pytest.raises(UnavailableError, match=f"^REDIS_URL, 127.0.0.1:{plain.port}: {NO_JSON}"):
        await look()


async def test_a_redis_that_may_lose_vcons(
    reachable_folder: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """By throwing them away, or by not having them on the disk: each is told when it changes."""
    server = Valkey.start(reachable_folder)
    redis = RedisConnection(server.url)
    try:
        watch = RedisWatch(redis)
        await watch.round()
        assert (list(watch.warnings), caplog.records) == ([], [])
        for name, value in UNSAFE.items():
            await redis.command("CONFIG", "SET", name, value)
        for _ in range(2):
            await watch.round()
        [told] = await checks_of(settings(server.url, tmp_path))["redis"]()
    finally:
        await redis.close()
        server.stop()
    words = [f"its {name} is {value}" for name, value in UNSAFE.items()]
    assert [each for each in words if each not in told] == []
    logged = [vars(each)["error"] for each in caplog.records]
    assert logged == watch.warnings
    assert len(logged) == len(UNSAFE)


async def test_a_redis_that_does_not_tell_is_believed(
    redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where CONFIG or JSON.TYPE is forbidden there is no warning and no failure."""
    redis = RedisConnection(redis_url)

    async def refused(*words: Any) -> Any:
        raise CommandRefused("NOPERM")

    monkeypatch.setattr(redis, "command", refused)
    assert await shortcomings(redis) == []
    await redis.close()


def test_ready_says_it_beside_the_checks() -> None:
    """Warnings do not make it unready, and are not there where there are none."""
    warnings: list[str] = []
    server = HealthServer(
        "127.0.0.1", 0, lambda: {"redis": True}, lambda _: (b"", ""), lambda: warnings
    )
    server.start()
    answers = []
    for found in ([], ["Redis may lose vCons"]):
        warnings[:] = found
        with urllib.request.urlopen(f"http://127.0.0.1:{server.port}/ready") as answer:
            answers.append(json.load(answer))
    server.close()
    assert answers == [{"redis": True}, {"redis": True, "warnings": ["Redis may lose vCons"]}]
