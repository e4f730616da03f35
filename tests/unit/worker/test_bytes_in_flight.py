"""Which run may begin within the bound on bytes: never a deadlock, never a run left behind."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.worker.slots.bytes_in_flight import MOST_PASSED, next_to_begin

BOUND = 100
sizes = st.lists(st.integers(0, 3 * BOUND), min_size=1, max_size=30)


@settings(max_examples=100)
@given(sizes=sizes, order=st.randoms())
def test_all_runs_begin_and_fit_or_are_alone(sizes: list[int], order: object) -> None:
    """In any order of their ends all begin, and together they have at most `BOUND` bytes."""
    waiting, running, passed, begun = list(enumerate(sizes)), {}, 0, []
    while waiting or running:
        while True:
            left = [size for _, size in waiting]
            at = next_to_begin(left, len(running), sum(running.values()), BOUND, passed)
            if at < 0:
                break
            number, size = waiting.pop(at)
            running[number], passed = size, passed + 1 if at else 0
            begun.append(number)
            assert sum(running.values()) <= BOUND or len(running) == 1
        assert running
        del running[order.choice(sorted(running))]  # type: ignore[attr-defined]  # a Random
    assert sorted(begun) == list(range(len(sizes)))


def test_small_ones_pass_a_large_one_only_so_often() -> None:
    """Then the runs in progress end, and it begins."""
    large_first = [90, 1]
    assert next_to_begin(large_first, 1, 20, BOUND, 0) == 1
    assert next_to_begin(large_first, 1, 20, BOUND, MOST_PASSED) == -1
    assert next_to_begin(large_first, 1, 10, BOUND, MOST_PASSED) == 0


def test_one_larger_than_the_bound_runs_alone() -> None:
    """It waits for all others, and they for it."""
    assert next_to_begin([BOUND + 1], 1, 0, BOUND, 0) == -1
    assert next_to_begin([BOUND + 1], 0, 0, BOUND, 0) == 0
    assert next_to_begin([1], 1, BOUND + 1, BOUND, 0) == -1
    assert next_to_begin([], 0, 0, BOUND, 0) == -1
