"""A scenario in which both servers are lost, and restored from a backup."""

import asyncio
import shutil
from pathlib import Path
from tempfile import mkdtemp

from devstack.chaos.custody.losses import DATA
from devstack.chaos.custody.stage import stage
from devstack.chaos.system.servers import Servers
from devstack.chaos.verdict.report import Report


async def restored_from_backup(servers: Servers, report: Report) -> None:
    """Both servers lose everything; what was accepted before the backup began has to be there.

    What ended while the backup was read may run once more; what was settled before must not.
    """
    async with stage(servers, counts_outside=True) as scene:
        system = scene.system
        for number in range(report.times):
            file = Path(mkdtemp(dir=servers.folder)) / f"backup-{number}"
            await system.start()
            await system.settled()  # what ended while the last backup was read may run once more
            async with scene.account.loss(is_sudden=True):
                async with scene.calls():
                    await scene.progress()
                    accepted = dict(scene.feeder.fed)
                    await system.operate("backup", str(file))
                    await scene.progress()
                await system.kill_services()
            servers.valkey.kill()
            shutil.rmtree(servers.valkey.folder / DATA)
            await servers.restart_valkey()
            await asyncio.to_thread(servers.postgres.drop_database, system.database)
            system.database = await servers.new_database()
            await system.operate("restore", str(file), "--yes", "--reason", "both servers are lost")
            scene.feeder.fed = accepted
        await system.start()
        await scene.end(report)
