"""How many vCons a worker runs at once, of which lists, and in which order it claims them."""

from __future__ import annotations

import asyncio
import threading
from collections import Counter
from typing import Any

import pytest

from pipeline.config.parser import PipelineConfig
from pipeline.live_config import Configuration
from pipeline.plugins.loader import Plugins
from pipeline.runs.queues import Queues
from pipeline.worker.slots.limits import ASYNC, THREADS
from tests.integration.support.pipeline_fixtures import (
    PATIENCE,
    Scene,
    both,
    configured,
    link,
    storage,
)
from tests.integration.worker.worker_scene import Gate, ok


class Doors:
    """A sync link that keeps its thread until it is opened."""

    def __init__(self) -> None:
        self.inside = threading.Semaphore(0)
        self.open = threading.Event()

    def run(self, vcon_uuid: str, *_: Any) -> str:
        """The link."""
        self.inside.release()
        assert self.open.wait(PATIENCE)
        return vcon_uuid

    async def arrivals(self, count: int) -> None:
        """Wait until so many more are inside."""
        for _ in range(count):
            assert await asyncio.to_thread(self.inside.acquire, timeout=PATIENCE)


@pytest.fixture
def claims(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The list of each element, as it is claimed."""
    claim, seen = Queues.claim, []

    async def noted(self: Queues, *words: Any, **options: Any) -> Any:
        reply = await claim(self, *words, **options)
        seen.extend(each.list_name for each in reply.claims)
        return reply

    monkeypatch.setattr(Queues, "claim", noted)
    return seen


def two_chains(first: Any, second: Any, *, weights: tuple[int, int] = (1, 1)) -> Any:
    """Two chains of one link each, which read the lists `a` and `b`."""
    chains = zip("ab", (first, second), weights, strict=True)
    made = [
        configured(
            name=at, links=[link(run, f"link of {at}")], ingress=(at,), egress=(), weight=weight
        )
        for at, run, weight in chains
    ]
    return both(*made)


async def test_async_chains_have_many_slots_by_default(scene: Scene) -> None:
    """64 at once, no more; and beside them a sync chain has its threads."""
    gate, doors = Gate(), Doors()
    await scene.start(two_chains(gate.run, doors.run), concurrency="auto")
    await scene.feed("a", count=ASYNC + 10)
    for _ in range(ASYNC):
        await gate.arrival()
    await scene.feed("b", count=THREADS + 10)
    await doors.arrivals(THREADS)
    assert gate.inside == ASYNC
    assert not doors.inside.acquire(blocking=False)
    assert scene.client.llen("a") == scene.client.llen("b") == 10
    doors.open.set()
    for _ in range(THREADS + 10):
        await scene.ended()
    assert gate.inside == ASYNC
    gate.open.set()
    for _ in range(ASYNC + 10):
        await scene.ended()


async def test_a_sync_storage_makes_a_chain_sync(scene: Scene) -> None:
    """Its runs occupy threads, too."""
    doors = Doors()
    saves = storage(lambda vcon_uuid, _: doors.run(vcon_uuid))
    await scene.start(configured(links=[link(ok)], storages=[saves]), concurrency="auto")
    await scene.feed("in", count=THREADS + 5)
    await doors.arrivals(THREADS)
    assert scene.client.llen("in") == 5
    doors.open.set()
    for _ in range(THREADS + 5):
        await scene.ended()


async def test_a_number_is_for_all_chains_together(scene: Scene) -> None:
    """As before: links that are not thread-safe run one at a time with 1."""
    gate = Gate()
    await scene.start(two_chains(gate.run, gate.run), concurrency=1)
    await scene.feed("a", "b", count=4)
    await gate.arrival()
    gate.open.set()
    for _ in range(8):
        await scene.ended()
    assert gate.most == 1


async def test_slots_are_shared_by_weight(scene: Scene, claims: list[str]) -> None:
    """Of eight slots, six for the chain of weight 3, though the other one's vCons came first."""
    gate = Gate()
    await scene.feed("b", count=20)
    await scene.feed("a", count=20)
    await scene.start(two_chains(gate.run, gate.run, weights=(3, 1)), concurrency=8)
    for _ in range(8):
        await gate.arrival()
    assert Counter(claims) == {"a": 6, "b": 2}
    gate.open.set()
    for _ in range(40):
        await scene.ended()


async def test_claims_are_shared_by_weight(scene: Scene, claims: list[str]) -> None:
    """One at a time: three of four for the chain of weight 3, until its list is empty."""
    await scene.feed("b", count=20)
    await scene.feed("a", count=15)
    await scene.start(two_chains(ok, ok, weights=(3, 1)), concurrency=1)
    for _ in range(35):
        await scene.ended()
    assert Counter(claims[:20]) == {"a": 15, "b": 5}
    assert claims[20:] == ["b"] * 15


async def test_the_lists_of_one_chain_share_its_slots(scene: Scene, claims: list[str]) -> None:
    """A list of many does not take the turns of one that has few."""
    await scene.feed("first", count=30)
    await scene.feed("second", count=5)
    await scene.start(configured(links=[link(ok)], ingress=("first", "second")), concurrency=1)
    for _ in range(35):
        await scene.ended()
    assert Counter(claims[:10]) == {"first": 5, "second": 5}


async def test_a_list_gets_slots_at_once_beside_slow_runs(scene: Scene) -> None:
    """All runs of the other chain hang, and have taken all slots before."""
    slow, quick = Gate(), Gate()
    await scene.start(two_chains(slow.run, quick.run), concurrency="auto")
    await scene.feed("a", count=2 * ASYNC)
    for _ in range(ASYNC):
        await slow.arrival()
    await scene.feed("b", count=ASYNC)
    for _ in range(ASYNC // 2):
        await quick.arrival()
    assert (slow.inside, quick.inside) == (ASYNC, ASYNC // 2)
    slow.open.set()
    quick.open.set()
    for _ in range(3 * ASYNC):
        await scene.ended()


async def test_a_full_worker_claims_nothing_in_vain(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each freed slot costs one claim, though other lists of the pool could have slots."""
    calls = 0
    claim = Queues.claim

    async def counted(self: Queues, *words: Any, **options: Any) -> Any:
        nonlocal calls
        calls += 1
        return await claim(self, *words, **options)

    monkeypatch.setattr(Queues, "claim", counted)
    turns = asyncio.Semaphore(0)

    async def one_by_one(vcon_uuid: str, *_: Any) -> str:
        await turns.acquire()
        return vcon_uuid

    await scene.feed("in", count=ASYNC + 20)
    await scene.start(configured(links=[link(one_by_one)], egress=()), concurrency="auto")
    while scene.client.hlen("pc:locks") < ASYNC:  # noqa: ASYNC110 -- no event
        await asyncio.sleep(0)
    before = calls
    for _ in range(20):
        turns.release()
        await scene.ended()
    while scene.client.llen("in"):  # noqa: ASYNC110 -- no event
        await asyncio.sleep(0)
    assert calls - before <= 22
    for _ in range(ASYNC):
        turns.release()
    for _ in range(ASYNC):
        await scene.ended()


async def test_a_worker_that_had_no_chain(scene: Scene) -> None:
    """It had no slots either; it claims as soon as the configuration is changed."""
    configuration = configured()
    crew = await scene.start(Configuration(PipelineConfig(), Plugins()), concurrency="auto")
    await scene.feed()
    await asyncio.sleep(0)
    crew.worker._configuration.adopt(configuration)
    crew.worker.reconfigure()
    assert (await scene.finished()).status == "done"
