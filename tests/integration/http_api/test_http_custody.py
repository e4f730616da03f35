"""Custody over HTTP while Postgres hangs or is down: 503 at once, or Redis alone, as is set."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from core.db.database import Database
from core.errors import UnavailableError
from core.observability.metrics import CUSTODY_FALLBACKS
from core.settings import DatabaseSettings
from devstack.servers.folders import temporary_folder
from devstack.servers.postgres import Postgres
from tests.integration.http_api.http_scene import Served, serving
from tests.integration.support.pipeline_fixtures import a_vcon

DATABASE = "custody"
MANY = 100


class Server:
    """A Postgres of its own, which can hang with all its processes, and go on."""

    def __init__(self, postgres: Postgres) -> None:
        self._postgres = postgres

    @property
    def settings(self) -> DatabaseSettings:
        """Those of its database."""
        found = self._postgres.environment(DATABASE)
        return DatabaseSettings(
            environment="test", **{name.lower(): value for name, value in found.items()}
        )

    def hang(self) -> None:
        """No process answers, and connections are accepted by the kernel alone."""
        self._signal(signal.SIGSTOP)

    def go_on(self) -> None:
        """All of them go on."""
        self._signal(signal.SIGCONT)

    def _signal(self, number: int) -> None:
        pid = self._postgres.pid
        words = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        for each in (pid, *map(int, words)):
            os.kill(each, number)


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """One for the tests of this file."""
    with temporary_folder() as folder:
        postgres = Postgres.start(folder / "postgres", fsync=False)
        try:
            postgres.create_database(DATABASE)
            yield (server := Server(postgres))
            server.go_on()
        finally:
            postgres.stop()


@pytest.fixture
async def kept(
    config: Path, redis_url: str, server: Server, request: pytest.FixtureRequest
) -> AsyncIterator[Served]:
    """The API with custody; the parameter is CUSTODY_FALLBACK. Redis is approved."""
    database = Database()
    database.initialize(server.settings)
    database.migrate()
    with database.transaction() as session:  # rows that were committed after their 503
        session.connection().exec_driver_sql("TRUNCATE custody")
    changes: dict[str, Any] = {"custody": "postgres", "custody_fallback": request.param}
    async with serving(config, redis_url, database, server.settings, **changes) as served:
        async with served.http() as client:
            while (await client.post("/vcon", json=a_vcon())).status_code == 503:
                pass
        try:
            yield served
        finally:
            server.go_on()
    database.close()


async def sent(client: httpx.AsyncClient) -> httpx.Response:
    """The answer to a new vCon for the list `in`."""
    return await client.post("/vcon", params={"ingress_list": "in"}, json=a_vcon())


@pytest.mark.parametrize("kept", ["none"], indirect=True)
async def test_a_hung_postgres(kept: Served, server: Server) -> None:
    """All that wait get 503 while it still hangs; other requests are answered."""
    async with kept.http() as client:
        stored = a_vcon()
        assert (await client.post("/vcon", json=stored)).status_code == 201
        server.hang()
        async with asyncio.TaskGroup() as tasks:
            posts = [tasks.create_task(sent(client)) for _ in range(MANY)]
            rpc = tasks.create_task(refused(kept))
            for path in ("/health", f"/vcon/{stored['uuid']}"):
                assert (await client.get(path)).status_code == 200
        assert [post.result().status_code for post in posts] == [503] * MANY
        assert all(int(post.result().headers["retry-after"]) >= 1 for post in posts)
        assert await rpc >= 1
        assert kept.queued("in") == []
        server.go_on()
        while (answer := await sent(client)).status_code == 503:
            pass
        assert (answer.status_code, answer.headers.get("x-vcon-custody")) == (201, None)


async def refused(kept: Served) -> int:
    """The seconds after which a caller of the RPC API may send its vCon again."""
    with pytest.raises(UnavailableError) as caught:
        await kept.pipeline.service.internal.accept(a_vcon(), ["in"])
    return int(caught.value.retry_after)


@pytest.mark.parametrize("kept", ["redis"], indirect=True)
async def test_redis_alone(kept: Served, server: Server) -> None:
    """The answer is as any other, but for a header, and /metrics counts it."""
    async with kept.http() as client:
        server.hang()
        before = CUSTODY_FALLBACKS._value.get()
        answer = await sent(client)
        assert (answer.status_code, answer.headers["x-vcon-custody"]) == (201, "redis")
        assert kept.queued("in") == [answer.json()["uuid"]]
    assert CUSTODY_FALLBACKS._value.get() == before + 1
