"""The metrics of several processes on one page, also of those that have died."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from core import metrics
from core.metrics_page import MetricsPage

COUNTING = """
import sys
from core import metrics
metrics.WORKER_DEATHS.inc(int(sys.argv[1]))
metrics.STUCK_THREADS.inc(int(sys.argv[1]))
print("counted", flush=True)
sys.stdin.read()
"""
ROOT = Path(__file__).parents[2]

type Worker = subprocess.Popen[str]


@pytest.fixture
def page() -> Iterator[MetricsPage]:
    """A page without workers."""
    page = MetricsPage()
    yield page
    page.close()


@pytest.fixture
def counting(page: MetricsPage) -> Iterator[Callable[[int], Worker]]:
    """Starts a process that has counted so many and lives on."""
    with ExitStack() as stack:

        def start(number: int) -> Worker:
            worker = subprocess.Popen(
                [sys.executable, "-c", COUNTING, str(number)],
                cwd=ROOT,
                env={**os.environ, **page.worker_environment},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
            stack.enter_context(worker)
            stack.callback(worker.kill)
            assert worker.stdout is not None
            assert worker.stdout.readline() == "counted\n"
            return worker

        yield start


def values(page: MetricsPage) -> dict[str, float]:
    """The samples of the page, by name; fails if one is there twice."""
    text = page.render("text/plain")[0].decode()
    rows = [line.rpartition(" ") for line in text.splitlines() if not line.startswith("#")]
    assert len({name for name, _, _ in rows}) == len(rows)
    return {name: float(value) for name, _, value in rows}


DEATHS, STUCK = "patchcord_worker_deaths_total", "patchcord_stuck_threads"


def test_what_a_dead_worker_counted_stays(
    page: MetricsPage, counting: Callable[[int], Worker]
) -> None:
    """Workers' numbers are added to the service's own; of a killed one the counters stay."""
    before = values(page)[DEATHS]
    metrics.WORKER_DEATHS.inc()
    first, _ = counting(10), counting(100)
    seen = values(page)
    assert (seen[DEATHS] - before, seen[STUCK]) == (111, 110)
    first.kill()
    first.wait()
    page.bury(first.pid)
    seen = values(page)
    assert (seen[DEATHS] - before, seen[STUCK]) == (111, 100)


def test_the_files_of_the_dead_are_removed(
    page: MetricsPage, counting: Callable[[int], Worker]
) -> None:
    """A worker that dies again and again does not fill the disk, nor is it counted twice."""
    folder = Path(*page.worker_environment.values())
    worker = counting(1)
    before = values(page)[DEATHS]
    worker.kill()
    worker.wait()
    for _ in range(2):
        page.bury(worker.pid)
    assert list(folder.iterdir()) == []
    assert values(page)[DEATHS] == before


@pytest.mark.parametrize(
    ("accept", "content_type"),
    [
        ("", "text/plain; version=0.0.4"),
        ("text/html", "text/plain; version=0.0.4"),
        ("application/openmetrics-text; version=1.0.0", "application/openmetrics-text"),
    ],
)
def test_the_format_is_the_one_asked_for(accept: str, content_type: str, page: MetricsPage) -> None:
    """Prometheus's own text unless OpenMetrics is asked for."""
    assert page.render(accept)[1].startswith(content_type)


def test_close_leaves_nothing_behind() -> None:
    """The folder is made for one start of the service and goes with it."""
    page = MetricsPage()
    folder = Path(*page.worker_environment.values())
    assert folder.is_dir()
    page.close()
    assert not folder.exists()
