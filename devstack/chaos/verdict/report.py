"""The report of a scenario, and the table of all reports."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import islice

from rich.table import Table

from devstack.chaos.verdict.verdict import Verdict

COLUMNS = (
    *("times", "fed", "stored", "halted", "dead-lettered", "queued"),
    *("lost", "doubled", "repeated"),
)
SHOWN = 10
"""The number of vCons named per kind of problem."""


@dataclass(slots=True)
class Report:
    """The result of one scenario; `broken` lists failed claims besides the verdict.

    `repeated` has the vCons that were run again without a reason; see `custody.account`.
    """

    event: str
    times: int
    verdict: Verdict | None = None
    broken: list[str] = field(default_factory=list)
    repeated: dict[str, str] = field(default_factory=dict)
    seconds: float = 0.0

    @property
    def good(self) -> bool:
        """Whether the scenario passed."""
        return bool(self.verdict and self.verdict.good and not (self.broken or self.repeated))

    def claim(self, holds: object, otherwise: str) -> None:
        """Record the problem `otherwise`, unless `holds`."""
        if not holds:
            self.broken.append(otherwise)

    def complaints(self) -> list[str]:
        """All problems, a line each."""
        if self.verdict is None:
            return list(self.broken)
        lost, doubled = self.verdict.lost.items(), self.verdict.doubled.items()
        return [
            *self.broken,
            *_first(f"lost: {vcon}: {why}" for vcon, why in lost),
            *_first(f"doubled: {vcon}: {why}" for vcon, why in doubled),
            *_first(f"repeated: {vcon}: {why}" for vcon, why in self.repeated.items()),
            *_first(f"no run in Postgres: {vcon}" for vcon in self.verdict.unrecorded),
        ]

    def figures(self) -> dict[str, int]:
        """The columns of the table; only the times without a verdict."""
        if self.verdict is None:
            return {"times": self.times}
        ends = self.verdict.endings
        ended = (ends[how] for how in ("stored", "halted", "dead", "queued"))
        wrong = (self.verdict.lost, self.verdict.doubled, self.repeated)
        figures = (self.times, self.verdict.fed, *ended, *map(len, wrong))
        return dict(zip(COLUMNS, figures, strict=True))


def _first(lines: Iterable[str]) -> Iterable[str]:
    return islice(lines, SHOWN)


def table(reports: Sequence[Report]) -> Table:
    """A table with a row per scenario; problems are red."""
    made = Table(title="What became of every vCon", title_justify="left")
    made.add_column("event", overflow="fold")
    for name in COLUMNS:
        made.add_column(name, justify="right")
    for report in reports:
        figures = report.figures()
        cells = [str(figures.get(name, "?")) for name in COLUMNS]
        made.add_row(report.event, *cells, style="" if report.good else "bold red")
    return made
