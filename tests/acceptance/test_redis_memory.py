"""Redis after vCons have ended and expired: nothing of them is left in it."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import httpx
from redis import Redis

from devstack.service import ServiceProcess
from tests.integration.support.pipeline_fixtures import a_vcon

COUNT = 60
AT_ONCE = 16
TOKEN = "the-token-of-the-http-api"
POLL_SECONDS = 0.05
OF_PROCESSES = ("pc:lease:", "pc:process:", "pc:worker:", "pc:session:", "pc:probe")
"""Prefixes of keys that are refreshed as long as a process runs."""
OF_TIME = ("pc:minutes:", "pc:minutes", "pc:death:")
CONFIG: dict[str, Any] = {
    "chains": {"main": {"storages": ["files"], "ingress_lists": ["in"]}},
    "storages": {"files": {"module": "storage.file"}},
}


async def test_nothing_is_left_of_vcons_that_have_ended(
    tmp_path: Path, redis_url: str, database_environment: dict[str, str]
) -> None:
    """All keys are those of before the vCons, and none has grown. Postgres has their custody."""
    config = CONFIG | {"storages": {"files": storage(tmp_path)}}
    (tmp_path / "config.yml").write_text(json.dumps(config))
    service = ServiceProcess(
        tmp_path,
        {
            **database_environment,
            "REDIS_URL": redis_url,
            "WEBSOCKET_URL": "ws://127.0.0.1:9/websocket",
            "TOKEN": "none",
            "CONSERVER_CONFIG_FILE": str(tmp_path / "config.yml"),
            "CONSERVER_API_TOKEN": TOKEN,
            "API_PORT": "0",
            "VCON_REDIS_EXPIRY": "1",
            "SWEEP_INTERVAL": "1",
            "CUSTODY": "postgres",
        },
    )
    try:
        with Redis.from_url(redis_url, decode_responses=True) as client:
            await sent(service, 1)
            await ended(client)
            before = memory(client)
            await sent(service, COUNT)
            await ended(client)
            assert memory(client) == before
    finally:
        await asyncio.to_thread(service.stop)


def storage(folder: Path) -> dict[str, Any]:
    """One of files in a folder."""
    (folder / "vcons").mkdir()
    return {"module": "storage.file", "options": {"path": str(folder / "vcons")}}


async def sent(service: ServiceProcess, count: int) -> None:
    """Post so many vCons; while the service starts or approves Redis, again."""
    headers = {"x-conserver-api-token": TOKEN}
    limits = httpx.Limits(max_connections=AT_ONCE)
    async with httpx.AsyncClient(
        base_url=service.api_url, headers=headers, limits=limits, timeout=60, trust_env=False
    ) as http:
        await asyncio.gather(*(posted(http) for _ in range(count)))


async def posted(http: httpx.AsyncClient) -> None:
    """Post one vCon until it is accepted."""
    vcon = a_vcon(parties=[{"tel": "+12015550123"}])
    while True:
        try:
            answer = await http.post("/vcon", params={"ingress_list": "in"}, json=vcon)
        except httpx.TransportError:
            await asyncio.sleep(POLL_SECONDS)
            continue
        if answer.status_code != httpx.codes.SERVICE_UNAVAILABLE:
            assert answer.status_code == httpx.codes.CREATED, answer.text
            return
        await asyncio.sleep(POLL_SECONDS)


async def ended(client: Redis) -> None:
    """Return when no vCon is left; what has a time to live lives no longer than till now."""
    while client.exists("in", "pc:inflight:in", "vcons", "pc:owners", "pc:index", "pc:history"):
        for key in client.scan_iter(count=1000):
            if not key.startswith(OF_PROCESSES) and client.ttl(key) > 0:
                client.expire(key, 0)
        await asyncio.sleep(POLL_SECONDS)


def memory(client: Redis) -> dict[str, int]:
    """The size of each key, but those of processes and of the numbers of the last hour."""
    return {
        key: size(client, key)
        for key in client.scan_iter(count=1000)
        if not key.startswith((*OF_PROCESSES, *OF_TIME))
    }


def size(client: Redis, key: str) -> int:
    """Its bytes; of a sorted set its members, since a score that is a time takes 8 to 24 bytes."""
    return client.zcard(key) if client.type(key) == "zset" else client.memory_usage(key) or 0
