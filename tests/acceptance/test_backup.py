"""A backup of a service under load, restored into empty servers: no accepted vCon is lost."""

from __future__ import annotations

import json
import stat
from typing import TYPE_CHECKING

from core.settings import DatabaseSettings
from devstack.chaos.chain import vcon
from devstack.chaos.evidence import gather
from devstack.chaos.feeding import Feeder
from devstack.chaos.scene import some_progress
from devstack.chaos.servers import running
from devstack.chaos.system import System
from devstack.chaos.verdict import judge
from pipeline.operator.backup.operations import Backups
from pipeline.redis_client.client import RedisConnection
from schemas.operator.backup import BackupParameters, RestoreParameters

if TYPE_CHECKING:
    from pathlib import Path

STORED = 3000
"""vCons that are in Redis besides; reading them gives the load time to move."""


async def test_a_backup_under_load_loses_nothing(tmp_path: Path) -> None:
    """All that were accepted before it began end after the restore, as promised."""
    file = tmp_path / "backup"
    with running() as servers:
        async with System(servers, seconds=0.05) as system:
            feeder = Feeder(system)
            await _fill(system)
            await system.start()
            async with feeder.flowing(pause=0.01, rpc=True):
                await some_progress(system, 5)
                accepted = dict(feeder.fed)
                await _back_up(system, file)
                during = len(feeder.fed) - len(accepted)
            await system.kill_services()
            await system.redis.execute_command("FLUSHALL", "SYNC")
            system.database = await servers.new_database()
            await _restore(system, file)
            await system.start()
            await system.settled()
            verdict = judge(await gather(system, accepted))
    assert during > 5
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert not verdict.lost
    assert not verdict.unrecorded
    assert verdict.fed == len(accepted)
    assert verdict.endings["queued"] == 0


async def _fill(system: System) -> None:
    async with system.redis.pipeline(transaction=False) as together:
        for _ in range(STORED):
            document = vcon("pass") | {"analysis": [{"body": "x" * 2000}]}
            together.execute_command(
                "JSON.SET", f"vcon:{document['uuid']}", ".", json.dumps(document)
            )
        await together.execute()


def _backups(system: System) -> tuple[RedisConnection, Backups]:
    values = system.servers.environment(system.database)
    settings = DatabaseSettings(
        environment="test",
        **{name.lower(): each for name, each in values.items() if name.startswith("POSTGRES")},
    )
    redis = RedisConnection(system.servers.valkey.url)
    return redis, Backups(redis, settings, "vcons")


async def _back_up(system: System, file: Path) -> None:
    redis, backups = _backups(system)
    await backups.backup(BackupParameters(file=str(file)), print)
    await redis.close()


async def _restore(system: System, file: Path) -> None:
    redis, backups = _backups(system)
    for dry_run in (True, False):
        asked = RestoreParameters(file=str(file), dry_run=dry_run)
        await backups.restore(asked, print)
    await redis.close()
