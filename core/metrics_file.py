"""A process's numbers as a file that another process reads: how a worker's reach `/metrics`."""

import asyncio
import contextlib
import math
import os
import threading
from collections.abc import Iterable, Iterator
from pathlib import Path

import orjson
from prometheus_client.core import Metric

from core.metrics import REGISTRY
from core.metrics_guests import Reading
from core.own_thread import in_own_thread

PAUSE = 1.0
"""Seconds from counting something to its being in the file; all that is counted meanwhile, too."""


class MetricsFile:
    """Keeps the file up to date."""

    def __init__(self, folder: Path | None) -> None:
        """The file will be in this folder and be named for this process; None means no file."""
        self._folder = folder
        self._lock = threading.Lock()
        self._due: asyncio.TimerHandle | None = None
        self._writing: asyncio.Future[None] | None = None

    def changed(self) -> None:
        """Something has been counted: write that soon. Costs next to nothing if that is due."""
        if self._due is None and self._folder is not None:
            self._due = asyncio.get_running_loop().call_later(PAUSE, self._write_beside)

    def _write_beside(self) -> None:
        self._due = None
        if self._lock.locked():  # a plugin's gauge hangs: a second thread would hang with it
            self.changed()
        else:
            self._writing = asyncio.ensure_future(in_own_thread(self.write))

    def write(self) -> None:
        """Write all numbers as they are now; a reader sees the file whole or not at all.

        If that is not possible just now, the next time does.
        """
        if self._folder is None:
            return
        with self._lock, contextlib.suppress(OSError):  # the service is gone, or the disk is full
            draft = self._folder / f"{os.getpid()}.new"
            draft.write_bytes(orjson.dumps([_told(family) for family in REGISTRY.collect()]))
            draft.replace(file_of(self._folder, os.getpid()))


def file_of(folder: Path, pid: int) -> Path:
    """Where the numbers of a process are."""
    return folder / f"{pid}.json"


def _told(family: Metric) -> tuple[object, ...]:
    # what is no number cannot be told in JSON, nor added up
    samples = [(s.name, s.labels, s.value) for s in family.samples if math.isfinite(s.value)]
    is_reading = isinstance(family, Reading)
    return is_reading, family.name, family.documentation, family.type, samples


def read(files: Iterable[Path]) -> Iterator[Metric]:
    """The families of several processes; those of a file that is just going are left out."""
    for file in files:
        try:
            content = file.read_bytes()
        except FileNotFoundError:
            continue
        for is_reading, *about, samples in orjson.loads(content):
            family = (Reading if is_reading else Metric)(*about)
            for sample in samples:
                family.add_sample(*sample)
            yield family
