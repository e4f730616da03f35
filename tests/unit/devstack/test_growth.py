"""What counts as growth, on samples made up for it."""

import os

import pytest

from devstack.growth import MOST_DRIFT, SLACK, Growth, Sample, growth, look

MIB = 1024 * 1024


def samples(*rss: float, descriptors: int = 20, tasks: int | None = 10) -> list[Sample]:
    """One sample a round."""
    return [Sample(int(each * MIB), descriptors, tasks) for each in rss]


def test_what_happens_while_it_warms_up_does_not_count() -> None:
    """Caches fill in the first rounds; after that the ends are compared."""
    [memory, *_] = growth("service", samples(10, 50, 100, 100, 100, 101, 101, 101), warm_up=2)
    assert (memory.before, memory.after, memory.flat) == (100 * MIB, 101 * MIB, True)


@pytest.mark.parametrize(("after", "flat"), [(100.0, True), (101.9, True), (102.1, False)])
def test_memory_may_drift_by_so_much(after: float, flat: bool) -> None:
    """Two parts in a hundred, and less is always fine."""
    assert MOST_DRIFT == 0.02
    assert Growth("service", "memory", 100.0, after).flat is flat
    assert Growth("service", "memory", 100.0, 50.0).flat


@pytest.mark.parametrize("what", ["descriptors", "tasks"])
def test_descriptors_and_tasks_are_counted(what: str) -> None:
    """A pool may breathe; one more each round is a leak."""
    assert Growth("service", what, 20.0, 20.0 + SLACK).flat
    assert not Growth("service", what, 20.0, 21.0 + SLACK).flat


def test_one_outlier_is_no_growth() -> None:
    """Medians are compared, not single rounds."""
    [memory, *_] = growth("service", samples(*[100] * 8, 150), warm_up=0)
    assert memory.flat


def test_a_process_without_a_loop_of_ours_has_no_tasks() -> None:
    """What is not known is left out."""
    measures = growth("worker", samples(1, 1, 1, tasks=None), warm_up=1)
    assert [each.what for each in measures] == ["memory", "descriptors"]


def test_a_look_at_this_process() -> None:
    """Memory and descriptors as the kernel has them: one file more is one descriptor more."""
    before = look(os.getpid(), tasks=5)
    descriptor = os.open(os.devnull, os.O_RDONLY)
    try:
        after = look(os.getpid())
    finally:
        os.close(descriptor)
    assert after.descriptors == before.descriptors + 1
    assert (before.tasks, after.tasks) == (5, None)
    assert before.rss_bytes > MIB
