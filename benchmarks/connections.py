"""What a flow of one query costs over a kept connection, against the bare driver in the same run.

    python -m benchmarks.connections [--rounds 100] [--count 50]

Each query borrows a connection from a psycopg pool, selects one row by a parameter and gives the
connection back. The flow does the same through the plugin `postgres`: over a connection of the
service, which is kept, and once with a connection of its own, which is opened for each run. Rounds
are short and interleaved, since what else the machine does changes quickly; printed are medians of
a call, and of its ratio to the driver's in the same round.
"""

import argparse
import asyncio
import statistics
import tempfile
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import uvloop
from psycopg import AsyncConnection
from psycopg.rows import dict_row
from psycopg_pool import AsyncConnectionPool

from devstack.postgres import Postgres
from flowlang.connections.kept import KeptConnections
from flowlang.flow import Flow
from flowlang.running import Surroundings, run_flow

WORST_RATIO = 1.5
"""What a flow over a kept connection may cost in terms of the driver's query."""

STEPS = """
steps:
  - pg_query: {id: found, connection: db, query: "SELECT $1::int AS n", params: ["${inputs.n}"]}
outputs:
  - {name: n, value: "${found.rows[0].n}"}
"""

type Once = Callable[[int], Awaitable[object]]


async def compare(url: str, rounds: int, count: int) -> dict[str, list[float]]:
    """Seconds of one call, for each way and round."""
    given = {"type": "postgres", "url": url, "pool_size": 4}
    kept = KeptConnections()
    await kept.configure({"db": given})
    around = Surroundings(kept)
    flow = Flow.parse(f"flow: Kept\n{STEPS}")
    own = Flow.parse({**flow.document, "connections": {"db": given}})
    seconds: dict[str, list[float]] = defaultdict(list)
    pool: AsyncConnectionPool[AsyncConnection[Any]]
    async with AsyncConnectionPool(url, min_size=1, max_size=4, open=False) as pool:

        async def driver(number: int) -> int:
            async with pool.connection() as connection:
                cursor = connection.cursor(row_factory=dict_row)
                await cursor.execute("SELECT %s::int AS n", [number])
                [row] = await cursor.fetchall()
                return int(row["n"])

        async def kept_flow(number: int) -> int:
            return await _result(flow, number, around)

        async def own_flow(number: int) -> int:
            return await _result(own, number, Surroundings())

        ways: list[tuple[str, Once, int]] = [
            ("driver", driver, count),
            ("flow, kept connection", kept_flow, count),
            ("flow, connection of its own", own_flow, 1),
        ]
        for _ in range(rounds):
            for name, once, times in ways:
                seconds[name].append(await _timed(once, times))
    await kept.close()
    return seconds


async def _result(flow: Flow, number: int, around: Surroundings) -> int:
    told = await run_flow(flow, {"n": number}, around)
    assert told == {"success": True, "outputs": {"n": number}}, told
    return number


async def _timed(once: Once, times: int) -> float:
    await once(0)
    began = time.perf_counter()
    for number in range(times):
        await once(number)
    return (time.perf_counter() - began) / times


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rounds", type=int, default=100)
    parser.add_argument("--count", type=int, default=50)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        server = Postgres.start(Path(folder), fsync=False)
        try:
            work = compare(server.url("postgres"), given.rounds, given.count)
            seconds = asyncio.run(work, loop_factory=uvloop.new_event_loop)  # as the service
        finally:
            server.stop()
    for name, each in seconds.items():
        ratios = [mine / floor for mine, floor in zip(each, seconds["driver"], strict=True)]
        middle = statistics.median(each) * 1e6
        print(f"{name:30} {middle:8.0f} us  {statistics.median(ratios):6.2f}")
    print(f"a flow over a kept connection may cost {WORST_RATIO}")


if __name__ == "__main__":
    main()
