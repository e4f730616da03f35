"""A backup of a Redis and a database, restored into that Redis, emptied, and another database."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from redis import Redis

from core.settings import DatabaseSettings
from pipeline.operator.backup.operations import Backups
from pipeline.redis_client.client import RedisConnection
from schemas.operator.backup import (
    BackupParameters,
    BackupResult,
    RestoreParameters,
    RestoreResult,
)
from tests.emptying import empty

SORTED_SET = "vcons"


def quiet(_line: str) -> None:
    """No progress."""


@dataclass
class BackupScene:
    """`source` is migrated, `target` has no tables."""

    client: Redis
    redis: RedisConnection
    source: DatabaseSettings
    target: DatabaseSettings
    file: Path

    async def back_up(self) -> BackupResult:
        """Write the file."""
        backups = Backups(self.redis, self.source, SORTED_SET)
        return await backups.backup(BackupParameters(file=str(self.file)), quiet)

    async def restore(self, *, dry_run: bool = False) -> RestoreResult:
        """Restore the file."""
        backups = Backups(self.redis, self.target, SORTED_SET)
        asked = RestoreParameters(file=str(self.file), dry_run=dry_run)
        return await backups.restore(asked, quiet)

    async def around(self) -> RestoreResult:
        """A backup, an empty Redis, a restore."""
        await self.back_up()
        empty(self.client)
        return await self.restore()
