"""What `/metrics` says: this process's metrics and those of its workers, added up.

A worker leaves its numbers in a file of a folder made for this start of the service, so that nobody
has to ask a busy one. When a worker is gone, what it had counted is taken over here and its file
goes: counters do not fall, and files do not pile up.
"""

import asyncio
import contextlib
import logging
import math
import operator
import os
import tempfile
import threading
from collections.abc import Callable, Coroutine, Iterable, Iterator
from pathlib import Path
from typing import Any

import orjson
from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.core import Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from core.observability.metrics import REGISTRY
from core.observability.plugin_metrics import Reading
from core.thread_pool import in_own_thread

# A process's numbers as a file that another process reads: how a worker's reach `/metrics`.

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


log = logging.getLogger(__name__)

LOOK_SECONDS = 3.0
"""How long the event loop gets for a fresh look."""


class MetricsPage(Collector):
    """Adds up, for whoever asks. Made anew at each start of the service."""

    def __init__(self) -> None:
        """Make the folder for the workers' files."""
        self._folder = tempfile.TemporaryDirectory(prefix="patchcord-metrics-")
        self._of_the_dead: list[Metric] = []
        self._lock = threading.Lock()
        self._registry = CollectorRegistry()
        self._registry.register(self)
        ProcessCollector(registry=self._registry)  # memory and file descriptors of this process
        self._look: Callable[[], object] = lambda: None

    def look_first(self, look: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """From now on `look` is awaited on this event loop before the page is made."""
        loop = asyncio.get_running_loop()
        self._look = lambda: asyncio.run_coroutine_threadsafe(look(), loop).result(LOOK_SECONDS)

    @property
    def folder(self) -> Path:
        """Where workers are to leave their numbers."""
        return Path(self._folder.name)

    def take_over(self, pid: int) -> None:
        """Keep the counts of a process that has ended, and remove its file."""
        with self._lock:
            file = file_of(self.folder, pid)
            counted = [family for family in read([file]) if family.type != "gauge"]
            self._of_the_dead = added_up(self._of_the_dead, counted)
            for left in self.folder.glob(f"{pid}.*"):  # it may have died while writing
                left.unlink(missing_ok=True)

    def collect(self) -> Iterable[Metric]:
        """Every family, once."""
        try:
            self._look()
        except (RuntimeError, TimeoutError):  # the loop is closed, or busy with something long
            log.debug("metrics without a fresh look")
        with self._lock:
            self.folder.mkdir(mode=0o700, exist_ok=True)  # somebody may have cleared /tmp
            return added_up(REGISTRY.collect(), self._of_the_dead, read(self.folder.glob("*.json")))

    def render(self, accept: str) -> tuple[bytes, str]:
        """The page in a format that the `Accept` header allows, and its content type."""
        encode, content_type = choose_encoder(accept)
        return encode(self._registry), content_type

    def close(self) -> None:
        """Remove the folder."""
        self._folder.cleanup()


def added_up(*sources: Iterable[Metric]) -> list[Metric]:
    """One family for each name; samples with the same labels are added, or the largest taken."""
    families: dict[str, Metric] = {}
    values: dict[str, dict[tuple[str, frozenset[tuple[str, str]]], float]] = {}
    for family in (family for source in sources for family in source):
        sums = values.setdefault(family.name, {})
        families.setdefault(family.name, Metric(family.name, family.documentation, family.type))
        together = max if isinstance(family, Reading) else operator.add
        for name, labels, value in _samples(family):
            key = name, frozenset(labels.items())
            sums[key] = together(sums[key], value) if key in sums else value
    for name, family in families.items():
        for (sample, pairs), value in values[name].items():
            family.add_sample(sample, dict(pairs), value)
    return list(families.values())


def _samples(family: Metric) -> Iterator[tuple[str, dict[str, str], float]]:
    """Without those that say when a series began: they say nothing once they are added up."""
    for sample in family.samples:
        if not sample.name.endswith("_created"):
            yield sample.name, sample.labels, sample.value
