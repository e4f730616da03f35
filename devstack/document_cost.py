"""`make fuzz`: what single hostile documents cost a running service in processor time and memory.

The whole system runs. Each document is sent on its own. When it has been answered, and its run has
ended if it was accepted, the cost of every process is compared with its bound. A bound grows with
the size of the document only: a cost that depends on its shape breaks it.
"""

import argparse
import asyncio
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from redis.asyncio import Redis

from devstack.chaos.processes import workers_of
from devstack.deployment import Deployment
from devstack.errors import StackError
from devstack.hostile_documents import Document, as_json, document

SECONDS, SECONDS_PER_BYTE = 2.0, 5e-6
MEMORY, MEMORY_PER_BYTE = 100_000_000, 200
"""What one document may cost one process: so much, and so much more for each of its bytes.

The costliest shapes take half of the memory and a tenth of the time.
"""

LIST, EGRESS, KEY = "in", "out", "a-key-of-the-fuzzing"
WORK_SECONDS = 120.0
"""How long a run may take until the vCon is in the egress list, by the clock."""
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
    """What one document took of one process."""

    process: str
    seconds: float
    memory: int

    def share(self, size: int) -> float:
        """The larger part of its two bounds that was used up; more than 1 is too much."""
        return max(
            self.seconds / (SECONDS + SECONDS_PER_BYTE * size),
            self.memory / (MEMORY + MEMORY_PER_BYTE * size),
        )


def children_of(pid: int) -> list[tuple[int, str]]:
    """The processes that a service has started: their ids, and what they are."""
    tasks = Path(f"/proc/{pid}/task").glob("*/children")
    children = [int(child) for task in tasks for child in task.read_text().split()]
    workers = {worker.pid for worker in workers_of(pid)}
    return [(child, "worker" if child in workers else "helper") for child in children]


class Meter:
    """What one process takes from now on."""

    def __init__(self, name: str, pid: int) -> None:
        self._name, self._folder = name, Path(f"/proc/{pid}")
        (self._folder / "clear_refs").write_text("5")  # the peak becomes what it holds now
        self._seconds, self._memory = self._processor_time(), self._peak()

    def read(self) -> Cost:
        """What it has taken so far.

        Raises:
            OSError: it has ended.
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
    """A document that was answered: its size, the code of the answer, its highest cost."""

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
    """The same.

    Raises:
        TooExpensiveError: it cost more than its size allows.
    """
    if sent.worst.share(sent.size) > 1:
        raise TooExpensiveError(str(sent))
    return sent


class Fuzzed:
    """A running system that documents are sent to, one after the other."""

    def __init__(self, system: Deployment, redis: Redis) -> None:
        self._system, self._redis = system, redis

    @classmethod
    def of(cls, system: Deployment) -> Self:
        """With a connection to the system's Redis."""
        return cls(
            system,
            Redis.from_url(system.stack.valkey.url, decode_responses=True, socket_timeout=None),
        )

    async def close(self) -> None:
        """Close that connection."""
        await self._redis.aclose()

    async def send(self, made: Document, *, is_partner: bool) -> Sent:
        """Send one document and wait until nothing works on it any more.

        Raises:
            TooExpensiveError: it cost too much, or was not answered, or a process ended.
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
        """Return when the run has ended, and clear its vCon away."""
        found: Any = await self._redis.blpop([EGRESS], timeout=WORK_SECONDS)
        if found is None:
            raise TimeoutError("the run has not ended")
        await self._redis.unlink(f"vcon:{found[1]}")


async def fuzz(
    seed: int, numbers: range, most_bytes: int, tell: Callable[[str], None] = lambda _: None
) -> list[Sent]:
    """Documents of a seed, each sent to one of the two APIs; `tell` gets a line for each hundred.

    Raises:
        StackError: in one line, what did not start.
        TooExpensiveError: in one line, which document cost too much.
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
    """The document that came nearest to its bound."""
    return max(done, key=lambda sent: sent.worst.share(sent.size))


def main(words: list[str]) -> int:
    """Fuzz and tell; 0, or 1 when a document costs too much."""
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
    """Print it at once: this takes minutes."""
    print(line, flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
