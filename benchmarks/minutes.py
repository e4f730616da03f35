"""Measures what the counters of the last hour cost.

    python -m benchmarks.minutes [--chains 5] [--steps 4]

Prints the cost of counting one run or step, with and without the finer buckets that the last hour
needs; of one flush, which each process makes once a second, in the process and in Redis; and from
both the cost for one vCon at some rates.
"""

import argparse
import asyncio
import time
from collections.abc import Callable
from itertools import cycle

from core.observability.metrics import FINE_SECONDS, LONG_SECONDS
from core.observability.outcome_metrics import Outcomes
from devstack.servers.folders import temporary_folder
from devstack.servers.valkey import Valkey
from pipeline.minutes.counting import MinuteCounts, OutcomeSource
from pipeline.redis_client.client import RedisConnection

COUNTED = 200_000
FLUSHES = 200
ROUNDS = 5
RATES = (10, 100, 1000)
DURATIONS = (0.0004, 0.003, 0.004, 0.012, 0.3, 0.35, 2.0)


def outcomes(fine: tuple[float, ...] | None) -> Outcomes[str, str]:
    """A metric of links."""
    subject = ("chain", "link")
    return Outcomes("b", ("", ""), subject=subject, outcome="o", bounds=LONG_SECONDS, fine=fine)


def counting(fine: tuple[float, ...] | None) -> float:
    """Seconds for counting one step, the best of some rounds."""
    metric, best = outcomes(fine), float("inf")
    for _ in range(ROUNDS):
        seconds = cycle(DURATIONS)
        begin = time.perf_counter()
        for _ in range(COUNTED):
            metric.ended(("main", "tag", "ok"), next(seconds))
        best = min(best, time.perf_counter() - begin)
    return best / COUNTED


async def flushing(url: str, chains: int, steps: int) -> tuple[float, float]:
    """Seconds of CPU of this process for one flush, and of Redis."""
    redis, metric = RedisConnection(url), outcomes(FINE_SECONDS)
    minutes = MinuteCounts(redis, [OutcomeSource("link", metric)])
    busy = 0.0
    before = await _redis_seconds(redis)
    for _ in range(FLUSHES):
        for chain in range(chains):
            for step in range(steps + 1):  # the run itself counts like a step
                for seconds in DURATIONS[1:5]:
                    metric.ended((f"chain {chain}", f"step {step}", "ok"), seconds)
        begin = time.process_time()
        await minutes.flush()
        busy += time.process_time() - begin
    in_redis = await _redis_seconds(redis) - before
    await redis.close()
    return busy / FLUSHES, in_redis / FLUSHES


async def _redis_seconds(redis: RedisConnection) -> float:
    """Seconds that Redis has spent in scripts so far."""
    text = str(await redis.command("INFO", "commandstats"))
    lines = (line for line in text.splitlines() if line.startswith("cmdstat_evalsha:"))
    return sum(int(line.partition("usec=")[2].partition(",")[0]) for line in lines) / 1e6


def main(show: Callable[[str], None] = print) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--chains", type=int, default=5)
    parser.add_argument("--steps", type=int, default=4, help="links and storages of a chain")
    words = parser.parse_args()
    with temporary_folder() as folder:
        server = Valkey.start(folder, durable=False)
        process, redis = asyncio.run(flushing(server.url, words.chains, words.steps))
        server.stop()
    coarse, fine = counting(None), counting(FINE_SECONDS)
    show(f"counting one step: {coarse * 1e6:.2f} us, with finer buckets {fine * 1e6:.2f} us")
    show(f"one flush: {process * 1e6:.0f} us of the process, {redis * 1e6:.0f} us of Redis")
    for rate in RATES:
        extra = (fine - coarse) * (words.steps + 1)
        each = (process / rate + extra) * 1e6, redis / rate * 1e6
        show(f"a vCon at {rate} a second: {each[0]:.2f} us of the process, {each[1]:.2f} of Redis")


if __name__ == "__main__":
    main()
