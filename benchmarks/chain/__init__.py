"""The benchmark of chains."""

from collections.abc import Iterable

from benchmarks.figures import Figure


def figures(rounds: int) -> Iterable[Figure]:
    """The short form for `make bench`."""
    from benchmarks.chain.measuring import figures as measured  # noqa: PLC0415 -- the
    # plugins of this package, which a worker imports, need none of the servers

    return measured(rounds)
