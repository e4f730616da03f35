"""Measures links that wait for a server, beside what the waiting alone allows."""

from collections.abc import Iterable

from benchmarks.figures import Figure


def figures(rounds: int) -> Iterable[Figure]:
    """The short form: two rounds of waiting for each link, 400 vCons at once."""
    from benchmarks.waiting.measure import short_figures  # noqa: PLC0415 -- needs the stack

    return short_figures(rounds)
