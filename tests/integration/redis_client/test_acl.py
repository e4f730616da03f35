"""The service as a user of Redis' ACL with the rights of docs/redis-acl.md."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest
from redis import Redis

from core.errors import UnavailableError
from devstack.pages import redis_acl_page
from devstack.service import ServiceProcess
from pipeline.redis_client import client as connection
from pipeline.redis_client.client import CommandRefused, RedisConnection
from tests.canaries import canary
from tests.integration.support.operations_scene import Operations
from tests.integration.support.pipeline_fixtures import PATIENCE, a_vcon, configured, link, storage

USER, PASSWORD = "patchcord", canary("password-of-the-acl-user-5d1e")
TOKEN = canary("token-beside-the-acl-5d1e")
LISTS = ("in", "out")
CONFIG = """
links: {tag: {module: links.tag, options: {tags: [by-http]}}}
chains: {main: {links: [tag], ingress_lists: [in], egress_lists: [out]}}
"""


@pytest.fixture
def user_url(redis_url: str, client: Redis) -> Iterator[str]:
    """The address for a user with the rights on the page; nothing was refused to it at the end."""
    client.execute_command("ACL", "LOG", "RESET")
    rights = redis_acl_page.rights(LISTS)
    client.execute_command("ACL", "SETUSER", USER, "on", f">{PASSWORD}", *rights)
    parts = urlsplit(redis_url)
    yield f"redis://{USER}:{PASSWORD}@{parts.hostname}:{parts.port}{parts.path}"
    refused = client.execute_command("ACL", "LOG")
    client.execute_command("ACL", "DELUSER", USER)
    assert refused == []


@pytest.fixture
async def ops(user_url: str, client: Redis) -> AsyncIterator[Operations]:
    """The operations half, and workers, as that user; `client` is another one."""
    redis = RedisConnection(user_url)
    connection.install(redis)
    opened = Operations(redis, client)
    yield opened
    await opened.workers.close()
    opened.calls.close()
    connection._installed.clear()
    await redis.close()


async def test_the_user_may_do_what_runs_need(ops: Operations) -> None:
    """Ingest, a chain, a dead letter and its replay, egress, search, expiry, deletion."""
    fails = [True]

    def check(vcon_uuid: str, _name: str, _options: object) -> str:
        if fails:
            raise ValueError("no")
        return vcon_uuid

    ops.configure(configured(links=[link(check)], storages=[storage()]))
    vcon_uuid = await ops.ingest("in")
    await ops.work()
    assert ops.list("DLQ:in") == [vcon_uuid]
    fails.clear()
    letters = await ops.operations.dead_letters("in", None, 10, None)
    assert str(letters).count(vcon_uuid) == 1
    chosen = {"vcon_uuids": [vcon_uuid], "cause": None, "limit": 10, "from_start": False}
    assert await ops.operations.replay("in", None, **chosen) == 1
    await ops.work()
    assert ops.list("out") == [vcon_uuid]
    assert await ops.operations.read_egress("out", 10, 60) == [vcon_uuid]
    assert await ops.operations.acknowledge("out", [vcon_uuid]) == 1
    assert (await ops.operations.vcons(None, None, 10, None)).vcon_uuids == [vcon_uuid]
    await ops.operations.search(["tel:+1"], 10, None)
    await ops.sweep()
    assert (await ops.operations.delete(vcon_uuid, ())).removed == {"redis": True}


async def test_a_process_runs_as_the_user(
    user_url: str, client: Redis, database_environment: dict[str, str], tmp_path: Path
) -> None:
    """The HTTP API with a worker, its chores and watches."""
    (tmp_path / "config.yml").write_text(CONFIG)
    settings = {
        **database_environment,
        "REDIS_URL": user_url,
        "CONSERVER_CONFIG_FILE": str(tmp_path / "config.yml"),
        "CONSERVER_API_TOKEN": TOKEN,
    }
    arguments = ("api", "--workers", "1")
    service = ServiceProcess(tmp_path, settings, name="api", arguments=arguments)
    headers = {"x-conserver-api-token": TOKEN}
    try:
        await asyncio.to_thread(service.wait_until_ready)
        async with httpx.AsyncClient(
            base_url=service.api_url, headers=headers, trust_env=False, timeout=PATIENCE
        ) as http:
            posted = await http.post("/vcon", params={"ingress_lists": "in"}, json=a_vcon())
            vcon_uuid = posted.json()["uuid"]
            assert await asyncio.to_thread(client.blmove, "out", "out", PATIENCE) == vcon_uuid
            assert (await http.get(f"/vcon/{vcon_uuid}")).status_code == 200
            egress = await http.get("/vcon/egress", params={"egress_list": "out"})
            assert egress.json() == [vcon_uuid]
            for path in ("/vcon", "/dlq?ingress_list=in", "/status", "/config"):
                assert (await http.get(path)).status_code < 500, path
            assert (await http.delete(f"/vcon/{vcon_uuid}")).status_code in (200, 204)
    finally:
        await asyncio.to_thread(service.stop)


async def test_other_commands_and_keys_are_refused(user_url: str, client: Redis) -> None:
    """The rights are no larger than the page says."""
    redis = RedisConnection(user_url)
    for words in (("FLUSHALL",), ("KEYS", "*"), ("GET", "other"), ("CONFIG", "SET", "save", "")):
        with pytest.raises(CommandRefused):
            await redis.command(*words)
    await redis.close()
    wrong = RedisConnection(user_url.replace(PASSWORD, "wrong"))
    with pytest.raises(UnavailableError, match="AuthenticationError"):
        await wrong.command("PING")
    await wrong.close()
    client.execute_command("ACL", "LOG", "RESET")


def test_no_command_is_missing(client: Redis) -> None:
    """Every word in capitals that a real server knows as a command is on the page."""
    categories = client.execute_command("ACL", "CAT")
    found = {
        name.partition("|")[0].upper()
        for category in categories
        for name in client.execute_command("ACL", "CAT", category)
    }
    told = {name.partition("|")[0] for name in redis_acl_page.commands()}
    no_commands = {"COMMAND", "SLOWLOG"}  # a part of the command line, and what is only named
    assert redis_acl_page.words() & found - told - no_commands == set()
