"""The HTTP API on real Redis and Postgres, and clients of it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
from redis import Redis

from core.db.database import Database
from core.db.runs import RunHistory
from core.db.usage_and_audit import PartnerRecords
from core.secrets.console_passwords import console_passwords
from core.settings import DatabaseSettings, Settings
from flowlang.connections.tls import web_trust
from http_api.application import Application
from http_api.serving.connections import ServerLimits
from http_api.serving.server import ApiServer
from pipeline.composition import PipelineComposition
from pipeline.redis_client import client as connection
from schemas.ingress_key import AuditEvent

TOKEN = "the-token-of-the-http-api"
HEADER = "x-conserver-api-token"
CONFIG = """
chains:
  main: {ingress_lists: [in, second], egress_lists: [out]}
storages:
  files: {module: storage.file, options: {path: FOLDER}}
ingress_auth:
  in: key-of-a-partner-1
"""


def settings_of(
    config: Path, redis_url: str, database: DatabaseSettings, **changes: Any
) -> Settings:
    """Settings of a process with the API."""
    return Settings(
        **database.model_dump(),
        websocket_url="ws://plugboard",
        token="x",
        conserver_config_file=config,
        redis_url=redis_url,
        **({"conserver_api_token": TOKEN} | changes),
    )


class Served:
    """The API on a port, with its pipeline at work."""

    def __init__(self, settings: Settings, database: Database, client: Redis) -> None:
        self.settings, self.client = settings, client
        self.records = PartnerRecords(database)
        self.pipeline = PipelineComposition(
            settings, RunHistory(database), self.records, self._changed
        )
        token = settings.conserver_api_token
        tokens = [token.get_secret_value()] if token else []
        passwords = console_passwords(settings)
        self.application = Application(self.pipeline.service, settings, tokens, passwords)
        self.port = 0

    async def _changed(self) -> None:
        """There are no workers to tell."""

    @property
    def url(self) -> str:
        """The address without the prefix."""
        return f"http://127.0.0.1:{self.port}"

    def http(self, token: str | None = TOKEN, **options: Any) -> httpx.AsyncClient:
        """A client that sends this token."""
        headers: Mapping[str, str] = {} if token is None else {HEADER: token}
        return httpx.AsyncClient(
            base_url=self.url, headers=headers, timeout=60, verify=web_trust(), **options
        )

    async def audited(self, action: str) -> AuditEvent:
        """The newest audit event of an action; others may come from the start of the process."""
        events = await self.pipeline.service.partner_admin.audit_events(None, None, 100)
        return next(each for each in events if each.action == action)

    def queued(self, name: str) -> list[str]:
        """The uuids of a list."""
        return list(self.client.lrange(name, 0, -1))  # type: ignore[arg-type]


type Start = Callable[..., AbstractAsyncContextManager[Served]]


@asynccontextmanager
async def serving(
    config: Path, redis_url: str, database: Database, about: DatabaseSettings, **changes: Any
) -> AsyncIterator[Served]:
    """The API until the block ends; `changes` are settings."""
    threads = set(threading.enumerate())
    with Redis.from_url(redis_url, decode_responses=True) as client:
        served = Served(settings_of(config, redis_url, about, **changes), database, client)
        running = asyncio.create_task(served.pipeline.run())
        server = ApiServer(served.application, "127.0.0.1", 0, ServerLimits.of(served.settings))
        serving = asyncio.create_task(server.run())
        served.port = server.port
        try:
            yield served
        finally:
            await server.stop(grace=60)
            await serving
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
            await served.pipeline.close()
            for thread in set(threading.enumerate()) - threads:  # they have sessions of Postgres
                if thread.name.startswith("shared"):
                    thread.join()
    connection._installed.clear()
