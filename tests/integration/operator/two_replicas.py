"""Two API processes with a worker each on one Redis, and a link that can be held up."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
from redis.asyncio import Redis

from core.operator_interfaces import Call
from devstack.chaos.system.processes import WorkerProcess, workers_of
from devstack.service import ServiceProcess
from flowlang.connections.tls import web_trust
from pipeline.config.parser import Chain, PipelineConfig
from pipeline.live_config import Configuration
from pipeline.operator.pauses import PauseOperations
from pipeline.operator.replicas import ReplicaReader
from pipeline.plugins.loader import Plugins
from pipeline.redis_client.client import RedisConnection
from schemas.ingress_key import Author
from schemas.operator.replicas import Replica, ReplicasQuery
from tests.integration.operator.replica_scene import eventually
from tests.integration.support.pipeline_fixtures import PATIENCE, a_vcon

LINK = """
import os, time
from pathlib import Path

def run(vcon_uuid, link_name, opts):
    folder = Path(opts["folder"])
    (folder / f"{vcon_uuid}.{os.getppid()}").touch()
    while (folder / "gate").exists():
        time.sleep(0.01)
    return vcon_uuid
"""
CONFIG = """
links: {{slow: {{module: slow_link, options: {{folder: {folder}}}}}}}
chains:
  main: {{links: [slow], ingress_lists: [in], egress_lists: [out]}}
  other: {{ingress_lists: [other], egress_lists: [out]}}
"""
TOKEN = "token-of-the-two-replicas"
SLOTS = 4
CHAINS = PipelineConfig(
    chains={
        "main": Chain("main", ingress_lists=("in",), egress_lists=("out",)),
        "other": Chain("other", ingress_lists=("other",), egress_lists=("out",)),
    }
)


class TwoReplicas:
    """The processes, what is done to them, and what is in Redis."""

    def __init__(
        self, folder: Path, redis: RedisConnection, queues: Redis, both: list[ServiceProcess]
    ) -> None:
        self.both, self.queues, self._folder = both, queues, folder
        configuration = Configuration(CHAINS, Plugins())
        self.operator = PauseOperations(redis, configuration)
        self.call = Call(Author(actor="me"), "a test")
        self._reader = ReplicaReader(redis, configuration)

    async def post(self, service: ServiceProcess, name: str = "in", count: int = 1) -> list[str]:
        """Post vCons to a list of one process; their uuids, once all are answered 201."""
        headers = {"x-conserver-api-token": TOKEN}
        async with httpx.AsyncClient(
            base_url=service.api_url,
            headers=headers,
            trust_env=False,
            timeout=PATIENCE,
            verify=web_trust(),
        ) as http:
            sent = [
                http.post("/vcon", params={"ingress_lists": name}, json=a_vcon())
                for _ in range(count)
            ]
            answers = await asyncio.gather(*sent)
        assert [each.status_code for each in answers] == [201] * count
        return [str(each.json()["uuid"]) for each in answers]

    async def through(self, uuids: list[str]) -> None:
        """Return when all of these have been through their chain."""
        missing = set(uuids)
        async with asyncio.timeout(PATIENCE):
            while missing:
                _, vcon_uuid = await self.queues.blpop(["out"], timeout=PATIENCE)
                missing.discard(vcon_uuid)

    async def list(self, name: str = "in") -> list[str]:
        """What is in a list."""
        return await self.queues.lrange(name, 0, -1)

    async def replica(self, service: ServiceProcess) -> Replica:
        """What the register tells of a process, once it does."""

        async def found() -> Replica | None:
            replicas = (await self._reader.replicas(ReplicasQuery())).replicas
            return next((each for each in replicas if each.pid == service.pid), None)

        return await eventually(found)

    async def holder(self, vcon_uuid: str) -> tuple[ServiceProcess, WorkerProcess]:
        """The process whose worker holds a vCon, once one does."""

        async def found() -> tuple[ServiceProcess, WorkerProcess] | None:
            for service in self.both:
                replica = await self.replica(service)
                for run in replica.held:
                    for worker in workers_of(service.pid):
                        if (run.vcon, run.worker) == (vcon_uuid, worker.worker_id):
                            return service, worker
            return None

        return await eventually(found)

    def close_gate(self) -> None:
        """Hold up the link of `main`."""
        (self._folder / "gate").touch()

    def open_gate(self) -> None:
        """Let it go on."""
        (self._folder / "gate").unlink()

    def ran_by(self, vcon_uuid: str) -> set[int]:
        """The processes whose workers have begun the link for a vCon."""
        return {int(each.suffix[1:]) for each in self._folder.glob(f"{vcon_uuid}.*")}


@asynccontextmanager
async def two_replicas(
    folder: Path, redis: RedisConnection, redis_url: str, database: dict[str, str]
) -> AsyncIterator[TwoReplicas]:
    """Both are ready, and stopped at the end."""
    (folder / "slow_link.py").write_text(LINK)
    (config := folder / "config.yml").write_text(CONFIG.format(folder=folder))
    settings: dict[str, Any] = {
        **database,
        "REDIS_URL": redis_url,
        "CONSERVER_CONFIG_FILE": str(config),
        "CONSERVER_API_TOKEN": TOKEN,
        "CONSERVER_VCON_CONCURRENCY": str(SLOTS),
        "PYTHONPATH": str(folder),
    }
    async with AsyncExitStack() as stack:
        queues = await stack.enter_async_context(
            Redis.from_url(redis_url, decode_responses=True, socket_timeout=2 * PATIENCE)
        )
        both = []
        for name in ("a", "b"):
            words = "api", "--workers", "1"
            service = ServiceProcess(folder, settings, name=name, arguments=words)
            stack.push_async_callback(asyncio.to_thread, service.stop)
            both.append(service)
        await asyncio.gather(*(asyncio.to_thread(each.wait_until_ready) for each in both))
        yield TwoReplicas(folder, redis, queues, both)
