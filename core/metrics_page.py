"""What `/metrics` says: this process's metrics and those of its workers, added up.

A worker leaves its numbers in a file of a folder made for this start of the service, so that nobody
has to ask a busy one. When a worker is gone, what it had counted is taken over here and its file
goes: counters do not fall, and files do not pile up.
"""

import asyncio
import logging
import operator
import tempfile
import threading
from collections.abc import Callable, Coroutine, Iterable, Iterator
from pathlib import Path
from typing import Any

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.core import Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from core.metrics import REGISTRY
from core.metrics_file import file_of, read
from core.metrics_guests import Reading

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

    def bury(self, pid: int) -> None:
        """A worker's process is gone: take over what it had counted."""
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
