"""`make fuzz`: measures the processor time and memory that single hostile documents cost.

The whole system runs, and documents are sent one at a time. When one has been answered, and its run
has ended if it was accepted, the cost of every process is compared with a bound. The bound depends
on the size of the document only, so a cost that depends on its shape exceeds it.
"""

import argparse
import asyncio
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from redis.asyncio import Redis

from devstack.chaos.system.processes import workers_of
from devstack.deployment import Deployment
from devstack.errors import StackError
from devstack.hostile_documents import Document, as_json, document

SECONDS, SECONDS_PER_BYTE = 2.0, 5e-6
MEMORY, MEMORY_PER_BYTE = 100_000_000, 200
"""The bounds of one document's cost to one process: a constant and a part per byte.

The costliest shapes take half of the memory and a tenth of the time.
"""

LIST, EGRESS, KEY = "in", "out", "a-key-of-the-fuzzing"
WORK_SECONDS = 120.0
"""The wall-clock time limit for a run to reach the egress list."""
SETTINGS = {
    "CORE_DUMPS": "true",  # otherwise only root may look at the memory of the processes
    "LOG_LEVEL": "ERROR",
    "INGRESS_KEY_REQUESTS_PER_MINUTE": "0",
}
CONFIG = {
    "ingress_auth": {LIST: KEY},
    "links": {"tag": {"module": "links.tag", "options": {"tags": ["fuzz"]}}},
    "storages": {"file": {"module": "storage.file", "options": {"path": "${DATA_FOLDER}"}}},
    "chains": {
        "fuzz": {
            "links": ["tag"],
            "storages": ["file"],
            "ingress_lists": [LIST],
            "egress_lists": [EGRESS],
        }
    },
}
_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Cost:
    """One document's cost to one process."""

    process: str
    seconds: float
    memory: int

    def share(self, size: int) -> float:
        """The larger share of its two bounds; above 1 a bound is exceeded."""
        return max(
            self.seconds / (SECONDS + SECONDS_PER_BYTE * size),
            self.memory / (MEMORY + MEMORY_PER_BYTE * size),
        )


def children_of(pid: int) -> list[tuple[int, str]]:
    """The child processes of a service: id and kind."""
    children: list[int] = []
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        with suppress(OSError):  # the thread has ended
            children += map(int, task.read_text().split())
    workers = {worker.pid for worker in workers_of(pid)}
    return [(child, "worker" if child in workers else "helper") for child in children]


class Meter:
    """Measures one process from its construction on."""

    def __init__(self, name: str, pid: int) -> None:
        self._name, self._folder = name, Path(f"/proc/{pid}")
        (self._folder / "clear_refs").write_text("5")  # the peak becomes what it holds now
        self._seconds, self._memory = self._processor_time(), self._peak()

    def read(self) -> Cost:
        """The cost since the construction.

        Raises:
            OSError: if the process has ended.
        """
        seconds = self._processor_time() - self._seconds
        return Cost(self._name, seconds, self._peak() - self._memory)

    def _processor_time(self) -> float:
        words = (self._folder / "stat").read_text().rpartition(")")[2].split()
        return (int(words[11]) + int(words[12])) / _TICKS

    def _peak(self) -> int:
        lines = (self._folder / "status").read_text().splitlines()
        [peak] = (line.split()[1] for line in lines if line.startswith("VmHWM:"))
        return int(peak) * 1024


class TooExpensiveError(Exception):
    """A document cost more than its size allows, or was not answered."""


@dataclass(frozen=True, slots=True)
class Sent:
    """An answered document: its size, the status code, its highest cost."""

    shape: str
    size: int
    code: int
    worst: Cost

    def __str__(self) -> str:
        """In one line."""
        return (
            f"{self.shape}, {self.size} bytes, answered {self.code}: {self.worst.process} "
            f"{self.worst.seconds:.2f} s, {self.worst.memory / 1e6:.0f} MB, "
            f"{self.worst.share(self.size):.0%} of its bound"
        )


def checked(sent: Sent) -> Sent:
    """Return `sent` if its cost is within the bounds.

    Raises:
        TooExpensiveError: if it exceeds a bound.
    """
    if sent.worst.share(sent.size) > 1:
        raise TooExpensiveError(str(sent))
    return sent


class Fuzzed:
    """A running system to which documents are sent one at a time."""

    def __init__(self, system: Deployment, redis: Redis) -> None:
        self._system, self._redis = system, redis

    @classmethod
    def of(cls, system: Deployment) -> Self:
        """A `Fuzzed` with a connection to the system's Redis."""
        return cls(
            system,
            Redis.from_url(system.stack.valkey.url, decode_responses=True, socket_timeout=None),
        )

    async def close(self) -> None:
        """Close that connection."""
        await self._redis.aclose()

    async def send(self, made: Document, *, is_partner: bool) -> Sent:
        """Send one document and wait until its processing has ended.

        Raises:
            TooExpensiveError: if it exceeds a bound, is not answered, or a process ends.
        """
        own = {"ingress_lists": f'["{LIST}"]'}
        partner = {"ingress_list": f'"{LIST}"', "api_key": f'"{KEY}"'}
        fields = as_json({**(partner if is_partner else own), **made.fields})
        size = made.size(fields)
        meters = list(self._meters())
        try:
            code = await self._ask("ExternalIngress" if is_partner else "IngestVcon", fields)
            worst = max((each.read() for each in meters), key=lambda cost: cost.share(size))
        except (TimeoutError, OSError) as error:
            raise TooExpensiveError(f"{made.shape}, {size} bytes: {error!r}") from None
        return checked(Sent(made.shape, size, code, worst))

    def _meters(self) -> Iterator[Meter]:
        service = self._system.service.pid
        yield Meter("service", service)
        yield Meter("redis", self._system.stack.valkey.pid)
        yield from (Meter(name, pid) for pid, name in children_of(service))

    async def _ask(self, action: str, fields: str) -> int:
        loop = asyncio.get_running_loop()
        answered: asyncio.Future[Any] = loop.create_future()
        service = self._system.plugboard_service
        asked = json.dumps(action).encode(), fields.encode()
        self._system.board.ask(service, *asked, answered.set_result)
        answer = await answered
        if not isinstance(answer, dict):
            raise TimeoutError("no answer")
        if (code := int(answer["status_code"])) in (200, 201):
            await self._worked_on()
        return code

    async def _worked_on(self) -> None:
        """Wait until the run has ended, and remove its vCon."""
        found: Any = await self._redis.blpop([EGRESS], timeout=WORK_SECONDS)
        if found is None:
            raise TimeoutError("the run has not ended")
        await self._redis.unlink(f"vcon:{found[1]}")


async def fuzz(
    seed: int, numbers: range, most_bytes: int, tell: Callable[[str], None] = lambda _: None
) -> list[Sent]:
    """Send the documents of a seed to the two APIs; calls `tell` with a line per hundred.

    Raises:
        StackError: if the system does not start.
        TooExpensiveError: if a document exceeds a bound.
    """
    done: list[Sent] = []
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder) / "config.yml"
        config.write_text(json.dumps(CONFIG))
        async with Deployment(config, settings=SETTINGS) as system:
            fuzzed = Fuzzed.of(system)
            for number in numbers:
                try:
                    made = document(seed, number, most_bytes)
                    done.append(await fuzzed.send(made, is_partner=number % 3 == 0))
                except TooExpensiveError as error:
                    again = f"--seed {seed} --first {number} --documents 1"
                    raise TooExpensiveError(f"{error}; again with {again}") from None
                if len(done) % 100 == 0:
                    tell(f"{len(done)} documents; the worst so far: {worst(done)}")
            await fuzzed.close()
    return done


def worst(done: list[Sent]) -> Sent:
    """The document with the highest share of its bound."""
    return max(done, key=lambda sent: sent.worst.share(sent.size))


def main(words: list[str]) -> int:
    """Run the fuzzing; returns 0, or 1 if a document exceeds a bound."""
    parser = argparse.ArgumentParser(prog="python -m devstack.document_cost", description=__doc__)
    parser.add_argument("--documents", type=int, default=1000)
    parser.add_argument("--first", type=int, default=0, help="number of the first document")
    parser.add_argument("--seed", type=int, default=int(time.time()), help="printed, to repeat it")
    parser.add_argument("--most-bytes", type=int, default=2_000_000, help="of one document")
    told = parser.parse_args(words)
    print(f"make fuzz: costs of {told.documents} documents, --seed {told.seed}", flush=True)
    numbers = range(told.first, told.first + told.documents)
    try:
        done = asyncio.run(fuzz(told.seed, numbers, told.most_bytes, say))
    except (StackError, TooExpensiveError) as error:
        print(f"make fuzz: {error}", file=sys.stderr)
        return 1
    say(f"{len(done)} documents within their bounds; the worst: {worst(done)}")
    return 0


def say(line: str) -> None:
    """Print unbuffered, since a run takes minutes."""
    print(line, flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
