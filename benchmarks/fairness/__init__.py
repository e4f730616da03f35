"""The benchmark of a small list beside a long one."""

from collections.abc import Iterable

from benchmarks.figures import Figure


def figures(rounds: int) -> Iterable[Figure]:
    """The short form for `make bench`."""
    from benchmarks.fairness.measuring import figures as measured  # noqa: PLC0415 -- the links of
    # this package, which workers import, need none of the servers

    return measured(rounds)
