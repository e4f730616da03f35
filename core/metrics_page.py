"""What `/metrics` says: this process's metrics and those of its workers, added up.

A worker is told a folder (`PROMETHEUS_MULTIPROC_DIR`), and `prometheus_client` keeps the worker's
values in files there, mapped into memory: so nothing that was counted is lost with a killed worker,
and nobody has to ask a busy one. This process counts in plain memory, which is quicker. When a
worker is gone, what it had counted is taken over here and its files go: counters do not fall, and
files do not pile up.
"""

import tempfile
import threading
from collections.abc import Iterable, Iterator
from pathlib import Path

from prometheus_client import CollectorRegistry
from prometheus_client.core import Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

from core.metrics import REGISTRY

FOLDER_VARIABLE = "PROMETHEUS_MULTIPROC_DIR"


class MetricsPage(Collector):
    """Adds up, for whoever asks. Made anew at each start of the service."""

    def __init__(self) -> None:
        """Make the folder for the workers' files."""
        self._folder = tempfile.TemporaryDirectory(prefix="patchcord-metrics-")
        self._of_the_dead: list[Metric] = []
        self._lock = threading.Lock()
        self._registry = CollectorRegistry()
        self._registry.register(self)

    @property
    def worker_environment(self) -> dict[str, str]:
        """The variable by which a worker's metrics end up here."""
        return {FOLDER_VARIABLE: self._folder.name}

    def bury(self, pid: int) -> None:
        """A worker's process is gone: take over what it had counted."""
        with self._lock:
            files = list(Path(self._folder.name).glob(f"*_{pid}.db"))
            left = [file for file in files if not file.name.startswith("gauge_")]
            self._of_the_dead = added_up(self._of_the_dead, _read(left))
            for file in files:
                file.unlink()

    def collect(self) -> Iterable[Metric]:
        """Every family, once."""
        with self._lock:
            living = _read(Path(self._folder.name).glob("*.db"))
            return added_up(REGISTRY.collect(), self._of_the_dead, living)

    def render(self, accept: str) -> tuple[bytes, str]:
        """The page in a format that the `Accept` header allows, and its content type."""
        encode, content_type = choose_encoder(accept)
        return encode(self._registry), content_type

    def close(self) -> None:
        """Remove the folder."""
        self._folder.cleanup()


def _read(files: Iterable[Path]) -> Iterable[Metric]:
    merged: Iterable[Metric] = MultiProcessCollector.merge([str(file) for file in files])  # type: ignore[no-untyped-call]
    return merged


def added_up(*sources: Iterable[Metric]) -> list[Metric]:
    """One family for each name; samples with the same labels are added."""
    families: dict[str, Metric] = {}
    values: dict[str, dict[tuple[str, frozenset[tuple[str, str]]], float]] = {}
    for family in (family for source in sources for family in source):
        sums = values.setdefault(family.name, {})
        families.setdefault(family.name, Metric(family.name, family.documentation, family.type))
        for name, labels, value in _samples(family):
            key = name, frozenset(labels.items())
            sums[key] = sums.get(key, 0.0) + value
    for name, family in families.items():
        for (sample, pairs), value in values[name].items():
            family.add_sample(sample, dict(pairs), value)
    return list(families.values())


def _samples(family: Metric) -> Iterator[tuple[str, dict[str, str], float]]:
    """Without those that say when a series began: they say nothing once they are added up."""
    for sample in family.samples:
        if not sample.name.endswith("_created"):
            yield sample.name, sample.labels, sample.value
