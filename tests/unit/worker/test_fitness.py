"""A worker's look at itself."""

from __future__ import annotations

import asyncio

import pytest

from pipeline.worker import fitness
from pipeline.worker.fitness import Fitness, damage

PATIENCE = 60.0


def test_a_process_that_is_well_finds_nothing() -> None:
    """Also when it is asked again and again."""
    assert [damage() for _ in range(100)] == [None] * 100


@pytest.mark.parametrize(
    ("where", "what"),
    [
        ("os.open", OSError(24, "Too many open files")),
        ("_thread.start_new_thread", RuntimeError("can't start new thread")),
        ("mmap.mmap", OSError(12, "Cannot allocate memory")),
    ],
)
def test_what_it_cannot_do_is_named(
    monkeypatch: pytest.MonkeyPatch, where: str, what: Exception
) -> None:
    """Files, threads and memory."""

    def fails(*_: object) -> None:
        raise what

    monkeypatch.setattr(f"pipeline.worker.fitness.{where}", fails)
    assert str(what) in (damage() or "")


@pytest.mark.parametrize("asked", [True, False])
async def test_a_shortage_that_passes_is_no_damage(
    monkeypatch: pytest.MonkeyPatch, *, asked: bool
) -> None:
    """Files may have run short for a moment; only what is found each time ends the worker."""
    found = iter(["short", None, None, "short", "short", None, "short", "short", "for good"])
    monkeypatch.setattr(fitness, "damage", lambda: next(found))
    looks = Fitness(look_seconds=1000 if asked else 0.001, again_seconds=0)
    looking = asyncio.create_task(looks.damaged())
    async with asyncio.timeout(PATIENCE):
        while not looking.done():  # each failure of a plugin is followed by a look
            if asked:
                looks.ask()
            await asyncio.sleep(0)
    assert looking.result() == "short"
    assert list(found) == []
