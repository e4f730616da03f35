"""The system under test: services that run the chaos chain, and a development Plugboard."""

import asyncio
import os
import signal
import sys
from collections import Counter
from contextlib import AsyncExitStack
from pathlib import Path
from tempfile import mkdtemp
from types import TracebackType
from typing import Any, Self

import httpx
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import ExponentialBackoff

from devstack.chaos.system.chain import INGRESS, NO_MORE, PLUGINS, Parts, write_config
from devstack.chaos.system.ledger import Ledger
from devstack.chaos.system.log_lines import unexpected_lines
from devstack.chaos.system.processes import WorkerProcess, gone, send, workers_of
from devstack.chaos.system.servers import Servers
from devstack.chaos.waiting import ChaosError, until
from devstack.plugboard.server import DevelopmentPlugboard
from devstack.plugboard.settings import PlugboardSettings
from devstack.service import ENTRYPOINT, ServiceProcess

SCALED_DOWN = {
    "LOG_FORMAT": "json",  # see `unexpected_lines`
    "CONSERVER_VCON_CONCURRENCY": "4",
    "LEASE_SECONDS": "1.5",
    "STORAGE_REPLAY_INTERVAL": "0.25",
    "SWEEP_INTERVAL": "0.25",
    "RECONNECT_MIN": "0.05",
    "RECONNECT_MAX": "0.5",
}

# Ids held by an unregistered worker do not count as queued, since no rescue looks for them.
_BACKLOG = """
local in_flight, waiting, suspects = 0, 0, 0
for _, worker in ipairs(redis.call('SMEMBERS', 'pc:workers')) do
  in_flight = in_flight + redis.call('HLEN', 'pc:inflight:' .. worker)
end
for _, key in ipairs(redis.call('KEYS', 'pc:waiting:*')) do
  waiting = waiting + redis.call('LLEN', key)
end
for _, key in ipairs(redis.call('KEYS', 'pc:suspects:*')) do
  suspects = suspects + redis.call('LLEN', key)
end
local queued, later = redis.call('LLEN', ARGV[1]), redis.call('ZCARD', 'pc:later')
return {queued, later, in_flight, waiting, suspects}
"""


class System:
    """A context manager: an empty database, an empty Redis, and services.

    The services' log files and the `ledger` are in `folder`.
    """

    def __init__(
        self,
        servers: Servers,
        more: Parts = NO_MORE,
        /,
        *,
        seconds: float = 0.1,
        ttl: int = 0,
        **settings: object,
    ) -> None:
        """`settings` are those of the service, by name; for the others see `write_config`."""
        self.servers = servers
        self.folder = Path(mkdtemp(dir=servers.folder))
        self.ledger = Ledger(self.folder)
        self.redis: Any = None  # typed for bytes, too, which it never returns here
        self._clients: list[Any] = []
        self.services: list[ServiceProcess] = []
        self._config = write_config(self.folder, seconds=seconds, ttl=ttl, more=more)
        self._settings = {name: str(value) for name, value in settings.items()}
        self._exit = AsyncExitStack()

    async def __aenter__(self) -> Self:
        """Prepare the servers and the Plugboard; starts no service."""
        async with AsyncExitStack() as started:
            started.push_async_callback(self._leave_redis)
            await self.follow_redis()
            # By itself this Valkey frees them in a thread, which its JSON module does not survive.
            await self.redis.execute_command("FLUSHALL", "SYNC")
            self.database = await self.servers.new_database()
            settings = PlugboardSettings(losses=False)  # a scenario that wants them asks for them
            self.board = await started.enter_async_context(DevelopmentPlugboard(settings))
            self.plugboard_service = self.board.create_service("chaos")
            self._token = self.board.create_token(self.plugboard_service)
            self._account = self.board.create_account_token()
            self._callers = await started.enter_async_context(
                httpx.AsyncClient(timeout=35.0, trust_env=False)
            )
            self._exit = started.pop_all()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Kill every service."""
        await self.kill_services()
        await self._exit.aclose()

    async def follow_redis(self) -> None:
        """Use the Valkey that the servers have now."""
        patient = Retry(ExponentialBackoff(cap=0.25, base=0.01), 100)
        url = self.servers.valkey.url
        self.redis = Redis.from_url(url, decode_responses=True, retry=patient)
        self._clients.append(self.redis)

    async def _leave_redis(self) -> None:
        for client in self._clients:  # at the end: others may use an earlier one
            await client.aclose()

    def environment(self) -> dict[str, str]:
        """The settings of the service."""
        return {
            **self.servers.environment(self.database),
            "ENVIRONMENT": "development",
            "WEBSOCKET_URL": self.board.websocket_url,
            "TOKEN": self._token.value,
            "CONSERVER_CONFIG_FILE": str(self._config),
            "PYTHONPATH": str(PLUGINS),
            "TMPDIR": str(self.folder),
            **SCALED_DOWN,
            **self._settings,
        }

    async def launch(self, entrypoint: Path = ENTRYPOINT, /, **settings: str) -> ServiceProcess:
        """Start another service without waiting for its readiness."""
        service = await asyncio.to_thread(
            ServiceProcess,
            self.folder,
            {**self.environment(), **settings},
            name=f"service-{len(self.services) + 1}",
            entrypoint=entrypoint,
        )
        self.services.append(service)
        return service

    async def start(self, **settings: str) -> ServiceProcess:
        """Start another service and wait until it and all its workers are ready."""
        service = await self.launch(**settings)
        await asyncio.to_thread(service.wait_until_ready)
        await until(self.working, "a worker")
        return service

    async def kill_services(self) -> None:
        """Kill every service with SIGKILL, and wait until it and its workers have ended."""
        for service in self.services:
            await self.kill(service)

    async def kill(self, service: ServiceProcess) -> None:
        """Kill one service with SIGKILL, and wait until it and its workers have ended."""
        workers = workers_of(service.pid)
        await asyncio.to_thread(service.kill)
        for worker in workers:
            send(worker.pid, signal.SIGCONT)  # one that is stopped would never end
        await gone(*(worker.pid for worker in workers))

    async def working(self) -> list[WorkerProcess]:
        """The running workers with a lease."""
        existing = [each for service in self.services for each in workers_of(service.pid)]
        alive = [await self.redis.exists(f"pc:worker:{each.worker_id}") for each in existing]
        return [each for each, lives in zip(existing, alive, strict=True) if lives]

    async def held_by(self, worker: WorkerProcess) -> set[str]:
        """The vCons that a worker holds."""
        return set(await self.redis.hkeys(f"pc:inflight:{worker.worker_id}"))

    async def backlog(self) -> Counter[str]:
        """The number of unsettled ids per place."""
        counts = await self.redis.eval(_BACKLOG, 0, INGRESS)
        places = ("queued", "later", "in flight", "waiting", "suspects")
        return Counter(dict(zip(places, counts, strict=True)))

    async def settled(self) -> None:
        """Return when every vCon has ended and every ended run is in Postgres.

        Raises:
            ChaosError: if that does not happen in time.
        """
        await until(self._nothing_left, "the last vCon to be settled")
        await until(self._history_written, "the history to be in Postgres")

    async def _nothing_left(self) -> bool:
        return (await self.backlog()).total() == 0

    async def _history_written(self) -> bool:
        return bool(await self.redis.llen("pc:history") == 0)

    def tracebacks(self) -> list[str]:
        """The tracebacks of the services' own code in their logs."""
        logs = sorted(self.folder.glob("*.log"))
        return [line for log in logs for line in unexpected_lines(log.read_text())]

    async def operate(self, *words: str) -> str:
        """Run a command of the operator; returns what it wrote.

        Raises:
            ChaosError: if it fails.
        """
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, str(ENTRYPOINT), *words),
            env={**os.environ, **self.environment()},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        out, _ = await process.communicate()
        if process.returncode:
            raise ChaosError(f"{words[0]} failed: {out.decode()[-500:]}")
        return out.decode()

    async def call(self, action: str, **fields: object) -> httpx.Response:
        """POST one request to the Plugboard, as callers do."""
        return await self._callers.post(
            self.board.http_url,
            headers={"Authorization": f"Bearer {self._account.value}"},
            json={"service_id": self.plugboard_service.id, "action": action, "fields": fields},
        )
