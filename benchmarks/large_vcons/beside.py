"""Small requests beside large vCons, in a process of their own.

Every 5 ms a GET of a small vCon is due, and every millisecond a PING of Redis; each counts from
when it was due. Run as a program: `python -m benchmarks.large_vcons.beside PORT PATH`; when its
standard input is closed it prints its `Beside` as JSON.
"""

import asyncio
import json
import os
import statistics
import sys
import time
from dataclasses import asdict, dataclass
from typing import Any

import httpx
import redis.asyncio

from benchmarks.http.names import TOKEN, TOKEN_HEADER

PACE, PING_PACE = 0.005, 0.001


@dataclass(frozen=True, slots=True)
class Beside:
    """Milliseconds."""

    p50: float
    p99: float
    silence: float
    """The longest wait for Redis to answer a PING."""


async def requests(port: int, path: str, seconds: list[float]) -> None:
    """Send one request after the other, at fixed times unless the last one took longer."""
    limits = httpx.Limits(max_connections=64)
    url, headers = f"http://127.0.0.1:{port}", {TOKEN_HEADER: TOKEN}
    async with httpx.AsyncClient(base_url=url, headers=headers, limits=limits) as client:

        async def one(due: float) -> None:
            (await client.get(path)).raise_for_status()
            seconds.append(time.perf_counter() - due)

        async with asyncio.TaskGroup() as group:
            due = time.perf_counter()
            while True:
                group.create_task(one(due))
                due += PACE
                await asyncio.sleep(max(0.0, due - time.perf_counter()))


async def pings(seconds: list[float]) -> None:
    """PING once a millisecond."""
    client: Any = redis.asyncio.Redis.from_url(os.environ["REDIS_URL"])
    async with client:
        while True:
            began = time.perf_counter()
            await client.ping()
            seconds.append(time.perf_counter() - began)
            await asyncio.sleep(PING_PACE)


async def main(port: int, path: str) -> Beside:
    """Send until standard input is closed."""
    small, pinged = list[float](), list[float]()
    tasks = [asyncio.create_task(pings(pinged))]
    if port:
        tasks.append(asyncio.create_task(requests(port, path, small)))
    await asyncio.to_thread(sys.stdin.read)
    for task in tasks:
        task.cancel()
    ended = await asyncio.gather(*tasks, return_exceptions=True)
    for each in ended:
        if isinstance(each, Exception):
            raise each
    times = statistics.quantiles(small or [0.0, 0.0], n=100)
    return Beside(times[49] * 1e3, times[98] * 1e3, max(pinged) * 1e3)


if __name__ == "__main__":
    print(json.dumps(asdict(asyncio.run(main(int(sys.argv[1]), sys.argv[2])))))
