"""A replica or worker that is killed, one that lives, and what must hold of both servers."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass

import pytest
from redis import Redis

from core.db.database import Database
from core.settings import DatabaseSettings
from pipeline.recovery import watch
from pipeline.redis_client import keys
from pipeline.redis_client.client import RedisConnection
from tests.integration.custody.approval import approve
from tests.integration.custody.crash_points import Start, Work
from tests.integration.custody.custody_scene import rows
from tests.integration.custody.mortal_servers import Kill, MortalDatabase, MortalRedis
from tests.integration.db.ingress_rows import execute
from tests.integration.recovery.recovery_scene import RecoveryScene
from tests.integration.support.pipeline_fixtures import postgres_calls

LISTS = ("in", "two", "out", "DLQ:in", "DLQ:storage:shelf", keys.withheld("in"))
EMPTY = "DELETE FROM custody; DELETE FROM redis_identity; DELETE FROM chain_runs"

type Killing = Callable[[Start, Work], Awaitable[bool]]


@dataclass
class KilledScene:
    """`whole` is a process that lives, `mortal` one whose servers can be out of reach."""

    whole: RecoveryScene
    redis: MortalRedis
    database: MortalDatabase
    changes: int = 0
    """Messages that the killed process has sent, and that may have changed something."""

    def begin(self) -> RecoveryScene:
        """An empty Redis that is approved, no custody, and a new process to be killed."""
        execute(self.whole.database, EMPTY)
        self.whole.client.flushall()
        approve(self.whole.client, self.whole.database)
        self._start(Kill())
        self.mortal = RecoveryScene(self.redis, self.whole.client, self.database, self.whole.calls)
        return self.mortal

    async def killed(self, killing: Killing, work: Work) -> bool:
        """Run `work` with the servers of the process to be killed; whether it was killed."""
        was_killed = await killing(self._start, work)
        self.changes = self.redis.kill.messages
        self.redis.kill = self.database.kill = Kill()
        self.mortal.keeper.close()
        self.database.bury()
        return was_killed

    def _start(self, kill: Kill) -> None:
        self.redis.kill = self.database.kill = kill

    def queued(self) -> dict[str, list[str]]:
        """What is in each list that is not empty, or is lent out of it."""
        lent = self.whole.client.zrange(keys.lease("out"), 0, -1)
        found = {name: sorted(self.whole.elements(name)) for name in LISTS}
        found["out"] += lent
        return {name: uuids for name, uuids in found.items() if uuids}

    def open_places(self) -> dict[str, list[str]]:
        """The vCons that Postgres holds for each list, each once."""
        found: dict[str, set[str]] = {}
        for uuid, places in rows(self.whole.database, "vcon_uuid, open"):
            for name in places:
                found.setdefault(name, set()).add(str(uuid))
        return {name: sorted(uuids) for name, uuids in found.items()}

    def check(self) -> None:
        """Redis is like Postgres: each open place is queued once, and nothing else is."""
        assert self.queued() == self.open_places()
        assert self.whole.is_open()
        epoch: Redis = self.whole.client
        row = self.whole.row()
        assert epoch.hget("pc:epoch", "generation") == str(row.generation)
        assert row.recovery is None

    async def lose_redis(self) -> None:
        """Its data are gone; another replica recovers."""
        self.whole.client.flushall()
        await self.whole.recover()
        self.check()


@pytest.fixture
async def killed(
    monkeypatch: pytest.MonkeyPatch,
    redis: RedisConnection,
    client: Redis,
    migrated: Database,
    redis_url: str,
    database_settings: DatabaseSettings,
) -> AsyncIterator[KilledScene]:
    """The servers."""
    monkeypatch.setattr(watch, "PAUSE_SECONDS", 0.001)
    calls = postgres_calls()
    whole = RecoveryScene(redis, client, migrated, calls)
    mortal, database = MortalRedis(redis_url), MortalDatabase()
    database.initialize(database_settings)
    yield KilledScene(whole, mortal, database)
    calls.close()
    database.close()
    await mortal.close()
