"""Scenarios in which another program writes keys of another type under the service's names."""

import random

from devstack.chaos.feeding import Feeder
from devstack.chaos.scene import claim_single_attempts, conclude, some_moment, some_progress
from devstack.chaos.system.chain import CHAIN, EGRESS, INGRESS
from devstack.chaos.system.servers import Servers
from devstack.chaos.system.system import System
from devstack.chaos.verdict.report import Report
from devstack.chaos.waiting import until
from devstack.service import ServiceProcess

NAMES = (
    *(EGRESS, "pc:later", f"pc:attempts:{INGRESS}", f"pc:unread:{EGRESS}"),
    *(f"run:{CHAIN}", "pc:expiring", "pc:locks", "pc:tokens"),
)
"""What the other program takes, in turn."""
SAID = "key cannot be used"

# What the service had there is kept, as it would be by a program that renames what it finds.
_TAKE = """
if redis.call('EXISTS', KEYS[1]) == 1 then
  redis.call('RENAME', KEYS[1], 'kept:' .. KEYS[1])
end
if ARGV[1] == 'stream' then
  redis.call('XADD', KEYS[1], '*', 'another', 'program')
else
  redis.call('JSON.SET', KEYS[1], '.', '{"another": "program"}')
end
"""
_GIVE_BACK = """
redis.call('DEL', KEYS[1])
if redis.call('EXISTS', 'kept:' .. KEYS[1]) == 1 then
  redis.call('RENAME', 'kept:' .. KEYS[1], KEYS[1])
end
"""


async def taken(servers: Servers, report: Report) -> None:
    """Each name in turn is a key of another type for a while: no vCon is lost or dead-lettered."""
    async with System(servers, CONSERVER_WORKERS=2) as system:
        feeder = Feeder(system)
        service = await system.start()
        async with feeder.flowing():
            for number in range(report.times):
                await some_progress(system)
                await some_moment(0.2)
                await _taken_for_a_while(system, service, NAMES[number % len(NAMES)])
        await conclude(system, feeder, report)
        await claim_single_attempts(system, feeder, report)


async def _taken_for_a_while(system: System, service: ServiceProcess, name: str) -> None:
    said = service.logged().count(SAID)
    kind = random.choice(("stream", "JSON"))  # noqa: S311 -- guards nothing
    await system.redis.eval(_TAKE, 1, name, kind)
    try:
        await until(lambda: _said(service, said), "the service to name the key")
    finally:
        await system.redis.eval(_GIVE_BACK, 1, name)


async def _said(service: ServiceProcess, before: int) -> bool:
    return service.logged().count(SAID) > before
