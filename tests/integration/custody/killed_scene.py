"""A replica that reaches Redis and Postgres through proxies that can be cut."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass

from redis import Redis

from core.db.database import Database
from core.settings import DatabaseSettings
from pipeline.redis_client.client import RedisConnection
from tests.integration.custody.approval import approve
from tests.integration.custody.crash_points import Cut
from tests.integration.custody.custody_scene import rows
from tests.integration.db.ingress_rows import execute
from tests.integration.recovery.recovery_scene import RecoveryScene
from tests.integration.support.pipeline_fixtures import postgres_calls

LISTS = ("in", "two")


@dataclass
class KilledScene:
    """`whole` is a replica that lives; `mortal` makes one that is killed."""

    whole: RecoveryScene
    redis_url: str
    redis_port: int
    settings: DatabaseSettings

    @contextlib.asynccontextmanager
    async def mortal(self, cut: Cut) -> AsyncIterator[RecoveryScene]:
        """A replica behind proxies."""
        port = await cut.port_for(self.redis_port)
        redis = RedisConnection(self.redis_url.replace(str(self.redis_port), str(port)))
        behind = await cut.port_for(self.settings.postgres_port)
        database = Database()
        where = {"postgres_host": "127.0.0.1", "postgres_port": behind}
        database.initialize(self.settings.model_copy(update=where))
        calls = postgres_calls()
        try:
            yield RecoveryScene(redis, self.whole.client, database, calls)
        finally:
            calls.close()
            database.close()
            await redis.close()

    def begin(self) -> None:
        """An empty Redis that is approved, and no custody."""
        execute(self.whole.database, "TRUNCATE custody")
        self.whole.client.flushall()
        approve(self.whole.client, self.whole.database)

    def queued(self) -> dict[str, list[str]]:
        """What is in each list."""
        return {name: sorted(self.whole.elements(name)) for name in LISTS}

    def open_places(self) -> dict[str, list[str]]:
        """The vCons that Postgres holds for each list, each once."""
        held = rows(self.whole.database, "vcon_uuid, open")
        return {
            name: sorted({str(uuid) for uuid, places in held if name in places}) for name in LISTS
        }

    def check(self) -> None:
        """Redis is like Postgres: each open place is queued once, and nothing else is."""
        assert self.queued() == self.open_places()
        assert self.whole.is_open()
        epoch: Redis = self.whole.client
        assert epoch.hget("pc:epoch", "generation") == str(self.whole.row().generation)
