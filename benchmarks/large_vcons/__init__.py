"""The benchmark of large vCons."""

from collections.abc import Iterable

from benchmarks.figures import Figure


def figures(rounds: int) -> Iterable[Figure]:
    """The short form for `make bench`."""
    from benchmarks.large_vcons.measuring import figures as measured  # noqa: PLC0415 -- the
    # programs of this package, which are imported with it, need none of the servers

    return measured(rounds)
