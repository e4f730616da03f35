"""The page of `/metrics`: the metrics of the service process and its workers, added up.

A worker writes its metrics to a file in a folder made at the start of the service, so a busy worker
is not asked. When a worker has ended, its counts are kept here and its file is removed: counters
never decrease, and files do not accumulate.
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

from core.concurrency.thread_pool import in_own_thread
from core.observability.metrics import REGISTRY
from core.observability.plugin_metrics import Reading

log = logging.getLogger(__name__)

PAUSE = 1.0
"""Seconds from a change to the next write of the file; later changes are in the same write."""
LOOK_SECONDS = 3.0
"""Longest wait for the event loop to refresh the gauges."""


class MetricsFile:
    """Writes the metrics of this process to its file."""

    def __init__(self, folder: Path | None, pause: float = PAUSE) -> None:
        """The file is named after the process id; with None nothing is written."""
        self._folder = folder
        self._pause = pause
        self._lock = threading.Lock()
        self._due: asyncio.TimerHandle | None = None
        self._writing: asyncio.Future[None] | None = None

    def changed(self) -> None:
        """Schedule a write of the file; cheap if one is scheduled already."""
        if self._due is None and self._folder is not None:
            self._due = asyncio.get_running_loop().call_later(self._pause, self._write_beside)

    def _write_beside(self) -> None:
        self._due = None
        if self._lock.locked():  # a plugin's gauge hangs, and would block a second thread as well
            self.changed()
        else:
            self._writing = asyncio.ensure_future(in_own_thread(self.write))

    def write(self) -> None:
        """Replace the file atomically; an error of the file system is left to the next write."""
        if self._folder is None:
            return
        with self._lock, contextlib.suppress(OSError):  # the service is gone, or the disk is full
            draft = self._folder / f"{os.getpid()}.new"
            draft.write_bytes(orjson.dumps([_encoded(family) for family in REGISTRY.collect()]))
            draft.replace(file_of(self._folder, os.getpid()))


def file_of(folder: Path, pid: int) -> Path:
    """The path of the metrics of a process."""
    return folder / f"{pid}.json"


def _encoded(family: Metric) -> tuple[object, ...]:
    # NaN and infinity have no form in JSON, and cannot be added up
    samples = [(s.name, s.labels, s.value) for s in family.samples if math.isfinite(s.value)]
    is_reading = isinstance(family, Reading)
    return is_reading, family.name, family.documentation, family.type, samples


def read(files: Iterable[Path]) -> Iterator[Metric]:
    """The families of several processes; a file that has just been removed is skipped."""
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


class MetricsPage(Collector):
    """Adds up the metrics of all processes; one for each start of the service."""

    def __init__(self, look_seconds: float = LOOK_SECONDS) -> None:
        """Make the folder for the workers' files."""
        self._look_seconds = look_seconds
        self._folder = tempfile.TemporaryDirectory(prefix="patchcord-metrics-")
        self._of_the_dead: list[Metric] = []
        self._lock = threading.Lock()
        self._registry = CollectorRegistry()
        self._registry.register(self)
        ProcessCollector(registry=self._registry)  # memory and file descriptors of this process
        self._look: Callable[[], object] = lambda: None

    def look_first(self, look: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Await `look` on the running event loop before each page."""
        loop = asyncio.get_running_loop()
        self._look = lambda: asyncio.run_coroutine_threadsafe(look(), loop).result(
            self._look_seconds
        )

    @property
    def folder(self) -> Path:
        """The folder for the files of workers."""
        return Path(self._folder.name)

    def take_over(self, pid: int) -> None:
        """Keep the counts of a process that has ended, and remove its file."""
        with self._lock:
            file = file_of(self.folder, pid)
            counted = [family for family in read([file]) if family.type != "gauge"]
            self._of_the_dead = added_up(self._of_the_dead, counted)
            for left in self.folder.glob(f"{pid}.*"):  # also the draft of an interrupted write
                left.unlink(missing_ok=True)

    def collect(self) -> Iterable[Metric]:
        """Every family, once."""
        try:
            self._look()
        except (RuntimeError, TimeoutError):  # the loop is closed or blocked
            log.debug("metrics not refreshed")
        with self._lock:
            self.folder.mkdir(mode=0o700, exist_ok=True)  # /tmp may have been cleared
            return added_up(REGISTRY.collect(), self._of_the_dead, read(self.folder.glob("*.json")))

    def render(self, accept: str) -> tuple[bytes, str]:
        """The page in a format that the `Accept` header allows, and its content type."""
        encode, content_type = choose_encoder(accept)
        return encode(self._registry), content_type

    def close(self) -> None:
        """Remove the folder."""
        self._folder.cleanup()


def added_up(*sources: Iterable[Metric]) -> list[Metric]:
    """One family for each name; equal samples are added, of a `Reading` the largest is taken."""
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
    """All samples but the `_created` times, which have no meaning when added up."""
    for sample in family.samples:
        if not sample.name.endswith("_created"):
            yield sample.name, sample.labels, sample.value
