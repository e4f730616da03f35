"""Measures a flow of one query over a pooled connection, and the bare driver in the same run.

    python -m benchmarks.connections [--rounds 100] [--count 50]

Each query borrows a connection from a psycopg pool, selects one row by a parameter and gives the
connection back: as psycopg comes, with BEGIN and COMMIT around it, and in autocommit, which is as
little as a driver can do. The flow does the same through the plugin `postgres`, in autocommit: over
a connection of the service, which is kept, and once with a connection of its own, which is opened
for each run. Rounds are short and interleaved, since what else the machine does changes quickly;
printed are medians of a call, and of its ratios to either driver's in the same round.
"""

import argparse
import asyncio
import statistics
import tempfile
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable
from functools import partial
from operator import truediv
from pathlib import Path
from typing import Any

import uvloop
from psycopg import AsyncConnection
from psycopg.rows import dict_row
from psycopg_pool import AsyncConnectionPool

from benchmarks.figures import Figure
from devstack.servers.postgres import Postgres
from flowlang.connections.kept import KeptConnections
from flowlang.language.flow import Flow
from flowlang.running import Surroundings, run_flow

WORST_RATIO = 1.5
"""What a flow over a kept connection may cost in terms of the driver's query."""

DRIVER, AUTOCOMMIT = "driver, as it comes", "driver, autocommit"
KEPT = "flow, kept connection"

STEPS = """
steps:
  - pg_query: {id: found, connection: db, query: "SELECT $1::int AS n", params: ["${inputs.n}"]}
outputs:
  - {name: n, value: "${found.rows[0].n}"}
"""

type Once = Callable[[int], Awaitable[object]]
type Pool = AsyncConnectionPool[AsyncConnection[Any]]


async def compare(url: str, rounds: int, count: int) -> dict[str, list[float]]:
    """Seconds of one call, for each variant and round."""
    given = {"type": "postgres", "url": url, "pool_size": 4}
    kept = KeptConnections()
    await kept.configure({"db": given})
    around = Surroundings(kept)
    flow = Flow.parse(f"flow: Kept\n{STEPS}")
    own = Flow.parse({**flow.document, "connections": {"db": given}})
    seconds: dict[str, list[float]] = defaultdict(list)
    async with _pool(url, autocommit=False) as pool, _pool(url, autocommit=True) as autocommit:
        ways: list[tuple[str, Once, int]] = [
            (DRIVER, partial(_query, pool), count),
            (AUTOCOMMIT, partial(_query, autocommit), count),
            (KEPT, partial(_flow, flow, around), count),
            ("flow, connection of its own", partial(_flow, own, Surroundings()), 1),
        ]
        for _ in range(rounds):
            for name, once, times in ways:
                seconds[name].append(await _timed(once, times))
    await kept.close()
    return seconds


def _pool(url: str, *, autocommit: bool) -> Pool:
    kwargs = {"autocommit": autocommit}
    return AsyncConnectionPool(url, kwargs=kwargs, min_size=1, max_size=4, open=False)


async def _query(pool: Pool, number: int) -> None:
    async with pool.connection() as connection:
        cursor = connection.cursor(row_factory=dict_row)
        await cursor.execute("SELECT %s::int AS n", [number])
        assert await cursor.fetchall() == [{"n": number}]


async def _flow(flow: Flow, around: Surroundings, number: int) -> None:
    told = await run_flow(flow, {"n": number}, around)
    assert told == {"success": True, "outputs": {"n": number}}, told


async def _timed(once: Once, times: int) -> float:
    await once(0)
    began = time.perf_counter()
    for number in range(times):
        await once(number)
    return (time.perf_counter() - began) / times


def measured(rounds: int, count: int) -> dict[str, list[float]]:
    """Start Postgres and compare, on the event loop that the service uses."""
    with tempfile.TemporaryDirectory() as folder:
        server = Postgres.start(Path(folder), fsync=False)
        try:
            work = compare(server.url("postgres"), rounds, count)
            return asyncio.run(work, loop_factory=uvloop.new_event_loop)
        finally:
            server.stop()


def figures(rounds: int) -> Iterable[Figure]:
    """The flow over a kept connection, compared with psycopg in autocommit."""
    seconds = measured(20 * rounds, 50)
    flow, floor = seconds[KEPT], seconds[AUTOCOMMIT]
    note = f"{statistics.median(flow) * 1e6:.0f} and {statistics.median(floor) * 1e6:.0f} us"
    yield Figure("one-query flow", _ratio(flow, floor), WORST_RATIO, at_most=True, note=note)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rounds", type=int, default=100)
    parser.add_argument("--count", type=int, default=50)
    given = parser.parse_args()
    seconds = measured(given.rounds, given.count)
    print(f"{'':45}{DRIVER:>20}{AUTOCOMMIT:>20}")
    for name, each in seconds.items():
        ratios = [_ratio(each, seconds[floor]) for floor in (DRIVER, AUTOCOMMIT)]
        middle = statistics.median(each) * 1e6
        print(f"{name:30}{middle:12.0f} us{ratios[0]:20.2f}{ratios[1]:20.2f}")
    print(f"a flow over a kept connection may cost {WORST_RATIO}")


def _ratio(ours: list[float], floor: list[float]) -> float:
    return float(statistics.median(map(truediv, ours, floor)))


if __name__ == "__main__":
    main()
