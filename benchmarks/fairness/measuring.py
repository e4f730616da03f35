"""Measuring the time that vCons of a small list take, alone and beside a long list."""

import statistics
import threading
import time
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import batched
from typing import Any

from redis import Redis

from benchmarks.figures import Figure
from benchmarks.running import DATABASE, running
from benchmarks.servers import servers
from benchmarks.vcons import made_up_vcons

LONG = 50_000
"""vCons in the long list."""
EVERY = 0.05
"""Seconds between two vCons of the small list."""
AIM = 2.0
"""The most that the 95th percentile beside the long list may be of the one alone."""
PATIENCE = 60.0
"""Seconds for one vCon; reached only when something is broken."""
LINKS = {
    "waiting link, 50 ms": ("benchmarks.chain.waiting_link", "benchmarks.chain.waiting_link"),
    "CPU work, 5 ms": ("benchmarks.fairness.cpu_link", "benchmarks.fairness.cpu_link"),
    "waiting link beside slow ones, 30 s": (
        "benchmarks.chain.waiting_link",
        "benchmarks.fairness.slow_link",
    ),
}
"""The links of the small list's chain and of the long one's, by case."""


@dataclass
class Seen:
    """95th percentiles in milliseconds, one of each round."""

    alone: list[float] = field(default_factory=list)
    beside: list[float] = field(default_factory=list)

    @property
    def ratio(self) -> float:
        """The median of the rounds' ratios."""
        pairs = zip(self.beside, self.alone, strict=True)
        return statistics.median(beside / alone for beside, alone in pairs)


class Lists:
    """The lists of one running service."""

    def __init__(self, client: Redis) -> None:
        self._client = client
        self._document = made_up_vcons(1, sizes=(2_000, 2_000))[0]

    def p95(self, count: int) -> float:
        """Milliseconds from the queueing of a vCon to its egress, of `count` in the small list."""
        began = self._push_slowly([str(uuid.uuid4()) for _ in range(count)])
        seconds = []
        for _ in range(count):
            found = self._client.blpop(["small-out"], timeout=PATIENCE)
            if found is None:
                raise TimeoutError("a vCon of the small list did not get through")
            seconds.append(time.perf_counter() - began[str(found[1])])
        return statistics.quantiles(seconds, n=20)[-1] * 1000

    def _push_slowly(self, uuids: list[str]) -> dict[str, float]:
        """Queue vCons at an even pace, in a thread; the times at which they were queued."""
        began: dict[str, float] = {}
        self._put(uuids)

        def push() -> None:
            for each in uuids:
                began[each] = time.perf_counter()
                self._client.rpush("small", each)
                time.sleep(EVERY)

        threading.Thread(target=push, daemon=True).start()
        return began

    def _put(self, uuids: list[str]) -> None:
        with self._client.pipeline(transaction=False) as pipe:
            for each in uuids:
                pipe.json().set(f"vcon:{each}", "$", {**self._document, "uuid": each})
            pipe.execute()

    def fill(self, count: int) -> None:
        """Queue a long list at once."""
        uuids = [str(uuid.uuid4()) for _ in range(count)]
        for some in batched(uuids, 1000):
            self._put(list(some))
        self._client.rpush("filling", *uuids)
        self._client.rename("filling", "long")

    def remove(self) -> None:
        """Remove what is left of the long list."""
        self._client.delete("long")


def _client(url: str) -> Redis:
    return Redis.from_url(url, decode_responses=True, socket_timeout=2 * PATIENCE)


@contextmanager
def _service(case: str) -> Iterator[Lists]:
    small, long = LINKS[case]
    config = {
        "links": {"small": {"module": small}, "long": {"module": long}},
        "chains": {
            "small": {
                "links": ["small"],
                "ingress_lists": ["small"],
                "egress_lists": ["small-out"],
            },
            "long": {"links": ["long"], "ingress_lists": ["long"]},
        },
    }
    with servers() as stack:
        stack.postgres.create_database(DATABASE)
        with (
            running(stack, config, {"SHUTDOWN_GRACE": "0"}),
            _client(stack.valkey.url) as client,
        ):
            yield Lists(client)


def measure(case: str, rounds: int, count: int, long: int = LONG) -> Seen:
    """Rounds of one case, each alone and then beside the long list."""
    seen = Seen()
    with _service(case) as lists:
        lists.p95(5)  # everything is imported and connected
        for _ in range(rounds):
            seen.alone.append(lists.p95(count))
            lists.fill(long)
            lists.p95(20)  # the long list's runs have begun, and the slots fit them
            seen.beside.append(lists.p95(count))
            lists.remove()
            lists.p95(5)
    return seen


def figures(rounds: int) -> Iterable[Figure]:
    """The short form: about 15 s for each round."""
    for case in LINKS:
        seen = measure(case, rounds, 30)
        alone, beside = statistics.median(seen.alone), statistics.median(seen.beside)
        note = f"p95 {beside:.0f} ms beside {LONG:,} vCons, {alone:.0f} ms alone"
        yield Figure(f"small list, {case}", seen.ratio, AIM, at_most=True, note=note)


def shown(case: str, seen: Seen) -> dict[str, Any]:
    """The numbers of one case, for a line of text."""
    return {
        "case": case,
        "alone": statistics.median(seen.alone),
        "beside": statistics.median(seen.beside),
        "ratio": seen.ratio,
    }
