"""Large documents are looked at beside the event loop, one at a time; small ones on it."""

import asyncio
import threading

import pytest

from pipeline.ingress import Ingress
from pipeline.large_documents import LARGE, beside_the_loop, is_large
from tests.unit.test_document_findings import vcon

SMALL = vcon(subject="x" * 1000)


@pytest.mark.parametrize(
    ("given", "large"),
    [
        (SMALL, False),
        (vcon(subject="x" * LARGE), True),
        (vcon(parties=[{"name": "x"}] * LARGE), True),
        ({"a": {"b": ["x" * (LARGE // 2), "x" * (LARGE // 2)]}}, True),
        ([[]] * LARGE, True),
        ([None] * (LARGE // 100), False),
        (b"\x1f\x8b", True),
    ],
    ids=["small", "a text", "parties", "texts deep inside", "lists", "few values", "packed"],
)
def test_what_is_large(given: object, large: bool) -> None:
    """By the text that it would be."""
    assert is_large(given) == large


@pytest.mark.parametrize("size", [10, LARGE])
async def test_a_large_vcon_is_checked_in_a_thread(size: int) -> None:
    """And a small one where it is, which costs less."""
    threads: list[int] = []

    class Chains:
        """Tells in which thread the vCon's chains are looked at."""

        def __iter__(self) -> "Chains":
            threads.append(threading.get_ident())
            return self

        def __next__(self) -> object:
            raise StopIteration

    ingress = Ingress(None, 10 * LARGE, None)  # type: ignore[arg-type]
    entry = await ingress.entry(vcon(subject="x" * size), Chains())  # type: ignore[arg-type]
    assert size <= len(entry.document)
    assert (set(threads) == {threading.get_ident()}) == (size < LARGE)


async def test_one_large_document_at_a_time_beside_a_loop_that_goes_on() -> None:
    """The second one waits for the first, the loop for none."""
    begun, go_on, at_once = threading.Semaphore(0), threading.Event(), 0

    def work() -> int:
        nonlocal at_once
        at_once += 1
        begun.release()
        go_on.wait()
        at_once -= 1
        return at_once

    both = [asyncio.create_task(beside_the_loop(b"packed", work)) for _ in range(2)]
    await asyncio.to_thread(begun.acquire)
    assert await beside_the_loop(SMALL, lambda: "small") == "small"
    assert not begun.acquire(blocking=False)
    go_on.set()
    assert await asyncio.gather(*both) == [0, 0]
