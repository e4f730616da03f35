"""How long a small request takes beside a stream of large vCons.

    python -m benchmarks.large_documents [--bytes 5000000] [--vcons 40]

The development Plugboard and the load are on one core, the service on the other. Printed are the
milliseconds of `Echo`, one request at a time: alone, and while large vCons are ingested one after
the other. The goal, on an idle machine, is a p99 below 50 ms beside them.
"""

import argparse
import asyncio
import contextlib
import os
import statistics
from itertools import repeat

import uvloop

from benchmarks.rpc import BOARD_CORE, JOIN_SECONDS, ingested_vcons
from benchmarks.rpc_clients import OURS, client, stop_workers
from benchmarks.servers import servers
from devstack.plugboard import DevelopmentPlugboard, Load, PlugboardSettings, Service, drive

ALONE = 1_000
SMALL = {"text": "The quick brown fox jumps over the lazy dog"}


async def small_requests(board: DevelopmentPlugboard, service: Service, requests: int) -> Load:
    """So many of them, one at a time."""
    return await drive(
        board, service, action="Echo", fields=repeat(SMALL), requests=requests, in_flight=1
    )


async def beside(
    board: DevelopmentPlugboard, service: Service, size: int, vcons: int
) -> list[float]:
    """Seconds of each small request that was made while vCons of that size came in."""
    stream = asyncio.create_task(
        drive(
            *(board, service),
            action="IngestVcon",
            fields=ingested_vcons(size)(),
            requests=vcons,
            in_flight=1,
        )
    )
    latencies: list[float] = []
    while not stream.done():
        latencies += (await small_requests(board, service, 10)).latencies
    await stream
    return latencies


async def measure(size: int, vcons: int) -> dict[str, list[float]]:
    """Seconds of small requests, alone and beside the stream."""
    settings = PlugboardSettings(recorded_frames=0, losses=False)
    with servers() as stack, contextlib.ExitStack() as clients:
        async with DevelopmentPlugboard(settings) as board:
            service = board.create_service(OURS)
            pid = clients.enter_context(client(board, service, stack))
            await board.wait_joined(service, within=JOIN_SECONDS)
            stop_workers(pid)
            alone = await small_requests(board, service, ALONE)
            measured = {
                "alone": alone.latencies,
                "beside": await beside(board, service, size, vcons),
            }
            clients.close()  # while there is a board to leave
    return measured


def main() -> None:
    """Measure, print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--bytes", type=int, default=5_000_000)
    parser.add_argument("--vcons", type=int, default=40)
    options = parser.parse_args()
    os.sched_setaffinity(0, {BOARD_CORE})
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        measured = runner.run(measure(options.bytes, options.vcons))
    for name, seconds in measured.items():
        times = statistics.quantiles(seconds, n=100)
        print(f"{name:8}{len(seconds):7} requests, p50 {times[49] * 1e3:8.2f} ms", end="")
        print(f", p99 {times[98] * 1e3:8.2f} ms, max {max(seconds) * 1e3:8.2f} ms")


if __name__ == "__main__":
    main()
