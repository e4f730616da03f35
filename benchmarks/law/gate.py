"""Measures what a step with `requires` waits for: the vCon's law read from Redis, and evaluated.

    python -m benchmarks.law.gate [--rounds 9]

The floor, in rounds between ours, is one `JSON.GET` of the same vCon over the same connection: what
a link that reads the vCon waits for anyway. Recorded bases are left out: they are a statement in
Postgres beside this.
"""

import argparse
import asyncio
import statistics
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import orjson

from benchmarks.law.basis import documents
from benchmarks.servers import servers
from pipeline.config.law import BasisPolicy, Law
from pipeline.config.model import PipelineConfig
from pipeline.law.basis.records import RecordedBasis
from pipeline.live_config import Configuration
from pipeline.plugins.loader import Plugins
from pipeline.redis_client import keys
from pipeline.redis_client.client import RedisConnection
from pipeline.withheld.evaluating import Evaluation

CALLS = 300


class _Nothing:
    async def of(self, _vcon_uuid: str, _parties: Sequence[Any]) -> Sequence[RecordedBasis]:
        return ()


async def _microseconds(call: Callable[[], Awaitable[object]]) -> float:
    began = time.perf_counter()
    for _ in range(CALLS):
        await call()
    return (time.perf_counter() - began) / CALLS * 1e6


async def measured(url: str, rounds: int) -> str:
    """The line of the figure: medians of interleaved rounds."""
    redis = RedisConnection(url)
    configuration = Configuration(PipelineConfig(law=Law(basis=BasisPolicy())), Plugins())
    evaluation = Evaluation(redis, configuration, _Nothing())
    document = documents()["text with a hash"]
    uuid, text = document["uuid"], orjson.dumps(document)
    await redis.command("JSON.SET", keys.vcon(uuid), ".", text)
    ours: list[float] = []
    floor: list[float] = []
    for _ in range(rounds):
        ours.append(await _microseconds(lambda: evaluation.decision(uuid, "transcription")))
        floor.append(await _microseconds(lambda: redis.command("JSON.GET", keys.vcon(uuid))))
    await redis.close()
    mine, base = statistics.median(ours), statistics.median(floor)
    about = f"one JSON.GET of its {len(text):,} bytes"
    return f"a gated step waits {mine:.0f} µs, {mine / base:.2f} times {about} ({base:.0f} µs)"


def main() -> int:
    """Measure and print; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=9)
    words = parser.parse_args()
    with servers() as stack:
        print(asyncio.run(measured(stack.valkey.url, words.rounds)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
