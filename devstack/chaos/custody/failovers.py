"""A scenario in which the primary is killed while its replica is behind."""

import asyncio
from pathlib import Path
from tempfile import mkdtemp

from devstack.chaos.custody.stage import stage
from devstack.chaos.system.servers import Servers
from devstack.chaos.verdict.report import Report
from devstack.servers.sentinels import Sentinels

BEHIND_SECONDS = 2.0
"""How long the replica gets nothing; sentinels allow it ten times `DOWN_AFTER`."""
DOWN_AFTER = 0.5


async def replica_behind(servers: Servers, report: Report) -> None:
    """The link is stopped, vCons are acknowledged, the primary is killed, the replica promoted.

    The old primary comes back as the replica of the new one, without its data.
    """
    folder = Path(mkdtemp(dir=servers.folder))
    with Sentinels(folder, down_after=DOWN_AFTER) as group:
        pair = servers.with_valkey(lambda: group.primary, group.url)
        async with stage(pair) as scene:
            await scene.system.start()
            async with scene.calls():
                for _ in range(report.times):
                    await scene.progress()
                    before, fed = await scene.generation(), len(scene.feeder.fed)
                    group.stop_link()
                    await asyncio.sleep(BEHIND_SECONDS)
                    async with scene.account.loss():
                        group.primary.kill()
                    await asyncio.to_thread(group.wait_for_promotion)
                    report.claim(len(scene.feeder.fed) > fed, "nothing came in meanwhile")
                    await scene.system.follow_redis()
                    await scene.recovered_since(before)
                    await asyncio.to_thread(group.replica.restart)
                    await asyncio.to_thread(group.wait_until_in_sync)
            await scene.end(report)
