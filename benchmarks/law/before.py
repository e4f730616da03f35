"""Measures chains without keys of the law against a checkout of another version.

    git worktree add --detach ../before 8d7c6d75
    python -m benchmarks.law.before ../before [--rounds 41] [--count 2000] [--only NAME]

Both services run all the time, with the same interpreter, each on a Redis and a Postgres of its
own. Rounds alternate between them, and their order changes. The other version is the floor: the
ratios are medians over pairs of rounds, of the vCons per second (higher is better) and of the
worker's CPU time per vCon (lower is better).
"""

import argparse
import json
import statistics
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from benchmarks.chain.bench import CASES, HOLD, POLL_SECONDS, ROOT, Bench, Case, Measured
from benchmarks.chain.names import EGRESS
from benchmarks.processes import cpu_seconds
from benchmarks.servers import servers

MEASURED = ("tag, none", "sync link, none", "tag, file")
"""Chains of async links, of sync links, and with a storage."""
WARMING = 2
"""Rounds of each version that are not counted."""


class Pair(NamedTuple):
    """One round of both versions, ours as parts of the other's."""

    rate: float
    cpu: float


class KeptBench(Bench):
    """A bench whose service stays for several rounds."""

    @contextmanager
    def kept(self, case: Case) -> Iterator[int]:
        """Its worker's process id, while the service runs."""
        self._load(case.lists)
        with self._service(case) as worker:
            yield worker

    def round(self, case: Case, worker: int) -> Measured:
        """One round: all vCons as they were first, through the chain once."""
        with self._client.pipeline(transaction=False) as pipe:
            for vcon in self._vcons:
                pipe.execute_command("JSON.SET", f"vcon:{vcon['uuid']}", "$", json.dumps(vcon))
                pipe.rpush(f"{HOLD}0", vcon["uuid"])
            pipe.delete(EGRESS)
            pipe.execute()
        cpu, began = cpu_seconds(worker), time.perf_counter()
        self._release(case.lists)
        while not self._is_done(case):
            time.sleep(POLL_SECONDS)
        return Measured(time.perf_counter() - began, cpu_seconds(worker) - cpu)


def measure(case: Case, other: Path, rounds: int, count: int) -> list[Pair]:
    """The pairs of a case."""
    found = []
    with servers() as one, servers() as two:
        ours, theirs = KeptBench(one, count, root=ROOT), KeptBench(two, count, root=other)
        with ours.kept(case) as our_worker, theirs.kept(case) as their_worker:
            sides = [(ours, our_worker), (theirs, their_worker)]
            for number in range(WARMING + rounds):
                order = sides if number % 2 else sides[::-1]
                measured = {bench: bench.round(case, worker) for bench, worker in order}
                mine, floor = measured[ours], measured[theirs]
                found.append(Pair(floor.seconds / mine.seconds, mine.cpu / floor.cpu))
    print(f"before: {case.name}", file=sys.stderr)
    return found[WARMING:]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("other", type=Path, help="the checkout of the other version")
    parser.add_argument("--rounds", type=int, default=41)
    parser.add_argument("--count", type=int, default=2000)
    parser.add_argument("--only", default="", help="part of a case's name")
    told = parser.parse_args()
    wanted = [each for each in CASES if each.name in MEASURED and told.only in each.name]
    print(f"{'case':24}{'rate':>8}{'CPU':>8}   of the other version's, medians")
    for case in wanted:
        pairs = measure(case, told.other.resolve(), told.rounds, told.count)
        rate = statistics.median(pair.rate for pair in pairs)
        cpu = statistics.median(pair.cpu for pair in pairs)
        print(f"{case.name:24}{rate:8.3f}{cpu:8.3f}")


if __name__ == "__main__":
    main()
