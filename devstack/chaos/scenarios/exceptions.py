"""The scenario in which plugins raise a `BaseException` that is not an `Exception`."""

from devstack.chaos.feeding import Feeder
from devstack.chaos.looks import in_list
from devstack.chaos.scene import claim_single_attempts, conclude
from devstack.chaos.system.servers import Servers
from devstack.chaos.system.system import System
from devstack.chaos.verdict.evidence import LETTERS
from devstack.chaos.verdict.report import Report
from devstack.chaos.waiting import until

MAX_ATTEMPTS = 3
REASONS = {
    "panic": "PanicException: called `Option::unwrap()`",
    "exit": "SystemExit: called sys.exit(3)",
    "interrupt": "KeyboardInterrupt",
    "half a surrogate": "ValueError: no recording called caf\ufffd.wav",
    "cancel": "CancelledError",
}
"""What is in the dead letters for each subject."""


async def no_exceptions(servers: Servers, report: Report) -> None:
    """Links panic, exit or cancel themselves, beside healthy vCons; no process ends."""
    async with System(servers, CONSERVER_WORKERS=2) as system:
        feeder = Feeder(system)
        await system.start()
        workers = {each.pid for each in await system.working()}
        async with feeder.flowing():
            for _ in range(report.times):
                for vcon in [await feeder.push(subject) for subject in REASONS]:
                    await until(in_list(system, LETTERS, vcon), "the dead letter of a plugin")
        report.claim(workers <= {each.pid for each in await system.working()}, "a worker ended")
        evidence = await conclude(system, feeder, report)
        await claim_single_attempts(system, feeder, report)
        calls = system.ledger.calls("mark")
        for vcon, subject in feeder.fed.items():
            told = REASONS.get(subject, "")
            report.claim(told in evidence.dead.get(vcon, told), f"{subject}: other reason")
            wrong = subject in REASONS and subject != "cancel" and calls[vcon] != MAX_ATTEMPTS
            report.claim(not wrong, f"{subject}: its link ran {calls[vcon]} times")
