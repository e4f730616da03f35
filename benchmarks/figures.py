"""What a benchmark reports to `make bench`: a ratio, its aim, and the command for more."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured figure, beside what it should be."""

    name: str
    measured: float
    """A ratio to a floor of the same run, unless `unit` says otherwise."""
    aim: float
    at_most: bool = False
    """Whether the aim is the largest good value; by default it is the least."""
    unit: str = ""
    note: str = ""
    """What a reader needs beside the figure: the rates, or the CPU time."""

    @property
    def is_met(self) -> bool:
        """Whether the aim is reached."""
        return self.measured <= self.aim if self.at_most else self.measured >= self.aim


type Figures = Callable[[int], Iterable[Figure]]
"""`figures(rounds)` of a benchmark's module: it measures, and yields each figure when it has it."""
