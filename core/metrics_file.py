"""A process's numbers as a file that another process reads: how a worker's reach `/metrics`."""

import asyncio
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

import orjson
from prometheus_client.core import Metric

from core.metrics import REGISTRY

PAUSE = 1.0
"""Seconds from counting something to its being in the file; all that is counted meanwhile, too."""


class MetricsFile:
    """Keeps the file up to date."""

    def __init__(self, folder: Path | None) -> None:
        """The file will be in this folder and be named for this process; None means no file."""
        self._folder = folder
        self._due: asyncio.TimerHandle | None = None

    def changed(self) -> None:
        """Something has been counted: write that soon. Costs next to nothing if that is due."""
        if self._due is None and self._folder is not None:
            self._due = asyncio.get_running_loop().call_later(PAUSE, self.write)

    def write(self) -> None:
        """Write all numbers as they are now; a reader sees the file whole or not at all."""
        if self._due is not None:
            self._due.cancel()
            self._due = None
        if self._folder is not None:
            draft = self._folder / f"{os.getpid()}.new"
            draft.write_bytes(orjson.dumps([_told(family) for family in REGISTRY.collect()]))
            draft.replace(file_of(self._folder, os.getpid()))


def file_of(folder: Path, pid: int) -> Path:
    """Where the numbers of a process are."""
    return folder / f"{pid}.json"


def _told(family: Metric) -> tuple[object, ...]:
    samples = [(s.name, s.labels, s.value) for s in family.samples]
    return family.name, family.documentation, family.type, samples


def read(files: Iterable[Path]) -> Iterator[Metric]:
    """The families of several processes; those of a file that is just going are left out."""
    for file in files:
        try:
            content = file.read_bytes()
        except FileNotFoundError:
            continue
        for name, documentation, kind, samples in orjson.loads(content):
            family = Metric(name, documentation, kind)
            for sample in samples:
                family.add_sample(*sample)
            yield family
