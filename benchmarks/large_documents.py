"""Measures the latency of small requests beside a stream of large vCons.

    python -m benchmarks.large_documents [--bytes 5000000] [--vcons 40]

The development Plugboard and the load are on one core, the service on the other, and its helper
process with it. Every 5 ms an `Echo` is due; its time counts from then on, so that one that is held
up counts with all those behind it. Printed are the milliseconds, alone and while large vCons are
ingested one after the other, and the load of the machine. The goal, on an idle machine, is a p99
below 50 ms beside them.
"""

import argparse
import asyncio
import contextlib
import os
import statistics
import time
from collections.abc import Callable
from itertools import repeat

import uvloop

from benchmarks.rpc.clients import OURS, client, stop_workers
from benchmarks.rpc.rounds import BOARD_CORE, JOIN_SECONDS, ingested_vcons
from benchmarks.servers import servers
from devstack.plugboard import DevelopmentPlugboard, Load, PlugboardSettings, Service, drive

PACE = 0.005
"""Seconds between two small requests."""
ALONE = 1_000
SMALL = {"text": "The quick brown fox jumps over the lazy dog"}


async def one(board: DevelopmentPlugboard, service: Service, due: float) -> float:
    """Seconds from the scheduled time of a small request to its answer."""
    await drive(board, service, action="Echo", fields=repeat(SMALL), requests=1, in_flight=1)
    return time.perf_counter() - due


async def paced(
    board: DevelopmentPlugboard, service: Service, go_on: Callable[[int], bool]
) -> list[float]:
    """Seconds of small requests at fixed times, while `go_on` returns true for their count."""
    requests: list[asyncio.Task[float]] = []
    due = time.perf_counter()
    while go_on(len(requests)):
        requests.append(asyncio.create_task(one(board, service, due)))
        due += PACE
        await asyncio.sleep(max(0.0, due - time.perf_counter()))
    return await asyncio.gather(*requests)


async def beside(
    board: DevelopmentPlugboard, service: Service, size: int, vcons: int
) -> tuple[Load, list[float]]:
    """The load of large vCons, and the seconds of each concurrent small request."""
    stream = asyncio.create_task(
        drive(
            board,
            service,
            action="IngestVcon",
            fields=ingested_vcons(size)(),
            requests=vcons,
            in_flight=1,
        )
    )
    small = await paced(board, service, lambda _: not stream.done())
    return await stream, small


async def measure(size: int, vcons: int) -> dict[str, list[float]]:
    """Seconds of small requests, alone and beside the stream, and of the large ones."""
    settings = PlugboardSettings(recorded_frames=0, losses=False)
    with servers() as stack, contextlib.ExitStack() as clients:
        async with DevelopmentPlugboard(settings) as board:
            service = board.create_service(OURS)
            pid = clients.enter_context(client(board, service, stack))
            await board.wait_joined(service, within=JOIN_SECONDS)
            stop_workers(pid)
            alone = await paced(board, service, lambda count: count < ALONE)
            large, small = await beside(board, service, size, vcons)
            measured = {"alone": alone, "beside": small, "large": large.latencies}
            clients.close()  # while there is a board to leave
    return measured


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--bytes", type=int, default=5_000_000)
    parser.add_argument("--vcons", type=int, default=40)
    options = parser.parse_args()
    os.sched_setaffinity(0, {BOARD_CORE})
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        measured = runner.run(measure(options.bytes, options.vcons))
    print(f"load of the machine: {os.getloadavg()[0]:.1f}")
    for name, seconds in measured.items():
        times = statistics.quantiles(seconds, n=100)
        print(f"{name:8}{len(seconds):7} requests, p50 {times[49] * 1e3:8.2f} ms", end="")
        print(f", p99 {times[98] * 1e3:8.2f} ms, max {max(seconds) * 1e3:8.2f} ms")


if __name__ == "__main__":
    main()
