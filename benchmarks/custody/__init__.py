"""The benchmark of custody."""

from collections.abc import Iterable

from benchmarks.figures import Figure


def figures(rounds: int) -> Iterable[Figure]:
    """The short form for `make bench`."""
    from benchmarks.custody.measuring import figures as measured  # noqa: PLC0415 -- the
    # recovery benchmark of this package needs none of this

    return measured(rounds)
