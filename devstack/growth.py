"""Detects growth of a process's memory, files, threads and tasks between bursts of load."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

PAGE_BYTES = 4096
MOST_DRIFT = 0.02
"""Part of its memory by which a process may have grown since it was warm."""
SLACK = 3
"""File descriptors and tasks more than before that are no growth: pools breathe."""


@dataclass(frozen=True, slots=True)
class Sample:
    """The resources of an idle process; `tasks` is None if unknown."""

    rss_bytes: int
    descriptors: int
    tasks: int | None = None


def look(pid: int, tasks: int | None = None) -> Sample:
    """Take a sample of a process.

    Raises:
        OSError: if the process does not exist.
    """
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return Sample(pages * PAGE_BYTES, len(list(Path(f"/proc/{pid}/fd").iterdir())), tasks)


@dataclass(frozen=True, slots=True)
class Growth:
    """One measure of one process: the medians of the first and the last rounds after warm-up."""

    process: str
    what: str
    before: float
    after: float

    @property
    def drift(self) -> float:
        """The relative increase."""
        return self.after / self.before - 1 if self.before else 0.0

    @property
    def flat(self) -> bool:
        """Whether the increase is within the tolerance."""
        if self.what == "memory":
            return self.drift < MOST_DRIFT
        return self.after <= self.before + SLACK


def growth(process: str, samples: Sequence[Sample], warm_up: int) -> list[Growth]:
    """All measures; the first `warm_up` samples are ignored, and at least two must remain."""
    warm = samples[warm_up:]
    third = max(1, len(warm) // 3)
    measures: dict[str, list[float]] = {
        "memory": [each.rss_bytes for each in warm],
        "descriptors": [each.descriptors for each in warm],
        "tasks": [each.tasks for each in warm if each.tasks is not None],
    }
    return [
        Growth(process, what, median(values[:third]), median(values[-third:]))
        for what, values in measures.items()
        if values
    ]
