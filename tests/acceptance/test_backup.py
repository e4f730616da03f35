"""A backup of a service under load, restored into empty servers: no accepted vCon is lost."""

from __future__ import annotations

import asyncio
import json
import os
import stat
import sys
from asyncio.subprocess import PIPE, STDOUT
from typing import TYPE_CHECKING

from devstack.chaos.feeding import Feeder
from devstack.chaos.scene import some_progress
from devstack.chaos.system.chain import vcon
from devstack.chaos.system.servers import running
from devstack.chaos.system.system import System
from devstack.chaos.verdict.evidence import gather
from devstack.chaos.verdict.verdict import judge
from devstack.service import ENTRYPOINT

if TYPE_CHECKING:
    from pathlib import Path

STORED = 1000
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
                await _run(system, "backup", str(file))
                during = len(feeder.fed) - len(accepted)
            await system.kill_services()
            await system.redis.execute_command("FLUSHALL", "SYNC")
            system.database = await servers.new_database()
            await _run(system, "restore", str(file), "--yes", "--reason", "a drill")
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
            document = vcon("pass") | {"analysis": [{"body": "x" * 1000}]}
            together.execute_command(
                "JSON.SET", f"vcon:{document['uuid']}", ".", json.dumps(document)
            )
        await together.execute()


async def _run(system: System, *words: str) -> str:
    """Run a command as an operator does; returns what it wrote."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        str(ENTRYPOINT),
        *words,
        env={**os.environ, **system.environment()},
        stdout=PIPE,
        stderr=STDOUT,
    )
    out, _ = await process.communicate()
    assert process.returncode == 0, out.decode()
    return out.decode()
