"""All scenarios by name."""

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from devstack.chaos.custody import both, commits, failovers, losses, replicas
from devstack.chaos.scenarios import (
    backlogs,
    clocks,
    deaths,
    exceptions,
    foreign_types,
    freezes,
    hangs,
    outages,
    stops,
)
from devstack.chaos.system.servers import Servers
from devstack.chaos.verdict.report import Report
from devstack.chaos.waiting import ChaosError
from devstack.errors import StackError

type Play = Callable[[Servers, Report], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Scenario:
    """A scenario with the number of repetitions of its short and its long form.

    One without a short form is part of another one's.
    """

    event: str
    play: Play
    short: int
    long: int


SCENARIOS = (
    Scenario("one of two workers killed", deaths.one_of_two, 5, 300),
    Scenario("the only worker or its service killed", deaths.the_only_one, 3, 60),
    Scenario("a vCon that kills its process", deaths.poison, 1, 5),
    Scenario("one of two workers stopped past its lease", freezes.of_two, 1, 20),
    Scenario("the only worker stopped past its lease", freezes.the_only_one, 1, 20),
    Scenario("hangs", hangs.suspects, 1, 10),
    Scenario("blocked loop", hangs.blocked_loop, 1, 10),
    Scenario("holds the GIL", hangs.held_interpreter, 1, 5),
    Scenario("foreign type", foreign_types.taken, 1, 32),
    Scenario("clock", clocks.stepped, 1, 20),
    Scenario("no exception", exceptions.no_exceptions, 1, 20),
    Scenario("no memory", outages.no_memory, 1, 20),
    Scenario("Valkey killed", outages.valkey_killed, 2, 40),
    Scenario("Postgres stopped", outages.postgres_stopped, 1, 10),
    Scenario("a storage down", outages.storage_down, 1, 10),
    Scenario("SIGTERM under load", stops.under_load, 2, 20),
    Scenario("SIGTERM twice", stops.in_a_hurry, 1, 10),
    Scenario("SIGTERM while Redis is away", stops.without_redis, 1, 10),
    Scenario("a backlog older than every TTL", backlogs.older_than_every_ttl, 5, 200),
    Scenario("eight services on a fresh database", backlogs.eight_at_once, 1, 5),
    Scenario("Redis loses its data, in three ways", losses.each_way, 3, 30),
    Scenario("Redis killed and its files deleted", losses.files_deleted, 0, 20),
    Scenario("FLUSHALL", losses.flushed, 0, 20),
    Scenario("Redis restored from an older copy", losses.older_copy, 0, 6),
    Scenario("primary killed, its replica behind", failovers.replica_behind, 1, 10),
    Scenario("Postgres killed between commit and answer", commits.killed_after_commit, 2, 20),
    Scenario("the recovering replica killed", replicas.killed_while_recovering, 1, 10),
    Scenario("two replicas, two Redis", replicas.different_epochs, 1, 5),
    Scenario("both servers restored from a backup", both.restored_from_backup, 1, 5),
)


async def run(scenario: Scenario, servers: Servers, times: int) -> Report:
    """Run one scenario and return its report; restarts both servers afterwards if needed."""
    report = Report(scenario.event, times)
    began = time.monotonic()
    try:
        await scenario.play(servers, report)
    except (ChaosError, StackError) as error:
        report.broken.append(str(error))
    report.seconds = time.monotonic() - began
    return report
