"""`make soak`: runs one service under load for a long time, and checks that it does not grow.

The load comes in rounds. Between two rounds no request is pending, and the resources of the
processes are compared. In the middle of each round the connection to the Plugboard is cut.
"""

import argparse
import asyncio
import contextlib
import json
import re
import sys
import time
from collections import Counter
from collections.abc import Callable, Hashable
from itertools import count
from pathlib import Path

import httpx
from rich.console import Console
from rich.table import Table

from devstack.callers import Callers
from devstack.chaos.system.processes import workers_of
from devstack.deployment import Deployment
from devstack.errors import StackError
from devstack.growth import Growth, Sample, growth, look
from devstack.servers.ports import HOST

MIB = 1024 * 1024
SAMPLES = Path(__file__).parents[1] / "samples"
CHAIN, EGRESS = "demo", "finished"
EXPECTED = {200, 202, 400, 404}
"""Answers to what is asked here."""
CUT = {408, 422}
"""Answers to requests that were in transit at the cut, or arrived while no consumer was joined."""
PATIENCE = 3.0
"""Seconds until what was on the line when it was cut is given up, as the Plugboard does later."""
WARM_UP = 0.25
"""Part of the rounds in which caches fill."""
SETTINGS = {
    "RUN_EXPIRY": "60",
    "VCON_REDIS_EXPIRY": "60",
    "SWEEP_INTERVAL": "1",
    "RECONNECT_MIN": "0.05",
    "RECONNECT_MAX": "0.1",
    "LOG_LEVEL": "ERROR",
}
_TASKS = re.compile(r"^patchcord_asyncio_tasks (\S+)", re.MULTILINE)


class Soak:
    """A running system, the counted answers, and the samples by process."""

    def __init__(self, system: Deployment) -> None:
        """Sends no request before `round`."""
        self._system = system
        self._numbers = count()
        self._vcons = [json.loads(path.read_text()) for path in sorted(SAMPLES.glob("*.json"))]
        self.outcomes: Counter[Hashable] = Counter()
        self.samples: dict[str, list[Sample]] = {}

    async def round(self, callers: int, seconds: float) -> None:
        """Run load for `seconds` with a cut in the middle, then take samples."""
        load = Callers(self._ask, callers)
        async with load.calling():
            await asyncio.sleep(seconds / 2)
            for connection in self._system.board.consumers:
                connection.abort()
            await asyncio.sleep(seconds / 2)
            load.stop()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(PATIENCE):
                    await load.only_waiting(0)
            self._system.board.expire_requests()
        self.outcomes.update(load.outcomes)
        await self._look()

    async def _ask(self) -> Hashable:
        number = next(self._numbers)
        vcon = self._vcons[number // 10 % len(self._vcons)]
        match number % 10:
            case 0:
                return await self._status("RunChain", chain=CHAIN, vcon=vcon)
            case 1:
                return await self._read_egress()
            case 2:
                return await self._status("Nope")
            case 3:
                return await self._status("GetVcon", vcon_uuid=["not a uuid"])
            case 4 | 5 | 6:
                return await self._status("GetVcon", vcon_uuid=vcon["uuid"])
            case _:
                return await self._status("ListChains")

    async def _status(self, action: str, **fields: object) -> Hashable:
        return (await self._system.call(action, **fields)).status_code

    async def _read_egress(self) -> Hashable:
        answer = await self._system.call("ReadEgress", egress_list=EGRESS, limit=100)
        read = answer.json().get("fields") or {}
        if not read.get("vcon_uuids"):
            return answer.status_code
        return await self._status("AckEgress", egress_list=EGRESS, vcon_uuids=read["vcon_uuids"])

    async def _look(self) -> None:
        service = self._system.service
        url = f"http://{HOST}:{service.health_port}/metrics"
        async with httpx.AsyncClient(trust_env=False) as client:
            page = (await client.get(url)).text
        found = _TASKS.search(page)
        tasks = int(float(found[1])) if found else None
        self.samples.setdefault("service", []).append(look(service.pid, tasks))
        for number, worker in enumerate(workers_of(service.pid), 1):
            self.samples.setdefault(f"worker {number}", []).append(look(worker.pid))

    def last(self) -> str:
        """The latest sample of each process, as text."""
        return "; ".join(
            f"{process} {latest.rss_bytes / MIB:.2f} MiB, {latest.descriptors} descriptors"
            for process, (*_, latest) in self.samples.items()
        )

    def grown(self) -> list[Growth]:
        """The growth of each process since the warm-up."""
        return [
            each
            for process, samples in self.samples.items()
            for each in growth(process, samples, int(len(samples) * WARM_UP))
        ]

    def unexpected(self) -> Counter[Hashable]:
        """The answers with unexpected statuses."""
        return Counter(
            {each: times for each, times in self.outcomes.items() if each not in EXPECTED | CUT}
        )


async def soak(
    seconds: float, callers: int, rounds: int, tell: Callable[[str], None] = lambda _: None
) -> Soak:
    """Run a soak; calls `tell` with a line after each round.

    After unexpected answers it also gets the service's log, which has their incidents.

    Raises:
        StackError: if the system does not start.
    """
    async with Deployment(SAMPLES / "config.yml", settings=SETTINGS) as system:
        soaking = Soak(system)
        for number in range(1, rounds + 1):
            await soaking.round(callers, seconds / rounds)
            tell(f"round {number} of {rounds}: {soaking.last()}")
        if soaking.unexpected():
            tell(system.service.logged())
        return soaking


def say(line: str) -> None:
    """Print unbuffered, since a run takes an hour."""
    print(line, flush=True)


def table(grown: list[Growth]) -> Table:
    """The compared measures, a line each."""
    lines = Table("process", "what", "warm", "in the end", "drift", "")
    for each in grown:
        unit, shown = (" MiB", MIB) if each.what == "memory" else ("", 1)
        lines.add_row(
            each.process,
            each.what,
            f"{each.before / shown:.1f}{unit}",
            f"{each.after / shown:.1f}{unit}",
            f"{each.drift:+.2%}",
            "flat" if each.flat else "GROWS",
        )
    return lines


def main(words: list[str]) -> int:
    """Run the soak; returns 0, or 1 on growth or unexpected answers."""
    parser = argparse.ArgumentParser(prog="python -m devstack.soak", description=__doc__)
    parser.add_argument("--seconds", type=float, default=3600.0)
    parser.add_argument("--callers", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=60)
    options = parser.parse_args(words)
    began = time.monotonic()
    try:
        done = asyncio.run(soak(options.seconds, options.callers, options.rounds, say))
    except StackError as error:
        print(f"make soak: {error}", file=sys.stderr)
        return 1
    console = Console(width=None if sys.stdout.isatty() else 100)
    console.print(table(done.grown()))
    answers = ", ".join(f"{times} x {status}" for status, times in done.outcomes.most_common())
    console.print(f"{time.monotonic() - began:.0f} s, answers: {answers}")
    return 0 if all(each.flat for each in done.grown()) and not done.unexpected() else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
