"""The metrics of several processes on one page, also of those that have died."""

import asyncio
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from math import nan
from pathlib import Path
from types import SimpleNamespace

import pytest

from core.observability import metrics
from core.observability.metrics_export import MetricsFile, MetricsPage

COUNTING = """
import sys
from math import nan
from pathlib import Path
from types import SimpleNamespace
from core.observability import metrics
from core.observability.metrics_export import MetricsFile
metrics.WORKER_DEATHS.inc(int(sys.argv[2]))
metrics.STUCK_THREADS.inc(int(sys.argv[2]))
metrics.RUNS.ended(("main", "done"), 0.3)
MetricsFile(Path(sys.argv[1])).write()
print("counted", flush=True)
sys.stdin.read()
"""
ROOT = Path(__file__).parents[3]
PATIENCE = 60.0
DEATHS, STUCK = "patchcord_worker_deaths_total", "patchcord_stuck_threads"

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
                [sys.executable, "-c", COUNTING, str(page.folder), str(number)],
                cwd=ROOT,
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


def test_what_a_dead_worker_counted_stays(
    page: MetricsPage, counting: Callable[[int], Worker]
) -> None:
    """Workers' numbers are added to the service's own; of a killed one the counters stay."""
    ran = 'patchcord_run_seconds_bucket{chain="main",le="0.5"}'
    before = values(page)
    metrics.WORKER_DEATHS.inc()
    first, _ = counting(10), counting(100)
    seen = values(page)
    assert seen[DEATHS] - before[DEATHS] == 111
    assert seen[STUCK] - before[STUCK] == 110
    assert seen[ran] - before.get(ran, 0) == 2
    first.kill()
    first.wait()
    page.take_over(first.pid)
    seen = values(page)
    assert seen[DEATHS] - before[DEATHS] == 111
    assert seen[STUCK] - before[STUCK] == 100
    assert seen[ran] - before.get(ran, 0) == 2


def test_the_files_of_the_dead_are_removed(
    page: MetricsPage, counting: Callable[[int], Worker]
) -> None:
    """A worker that dies again and again does not fill the disk, nor is it counted twice."""
    worker = counting(1)
    before = values(page)[DEATHS]
    worker.kill()
    worker.wait()
    (page.folder / f"{worker.pid}.new").touch()  # it was just about to write
    for _ in range(2):
        page.take_over(worker.pid)
    assert list(page.folder.iterdir()) == []
    assert values(page)[DEATHS] == before


async def test_the_file_follows_what_is_counted(page: MetricsPage) -> None:
    """A count is in the file some time later, also when other counts follow."""
    written = asyncio.Event()

    class TellingFile(MetricsFile):
        def write(self) -> None:
            super().write()
            written.set()

    file = TellingFile(page.folder, pause=0.001)
    for number in (2, 3):
        before = await asyncio.to_thread(values, page)
        metrics.WORKER_DEATHS.inc(number)
        file.changed()
        file.changed()
        async with asyncio.timeout(PATIENCE):
            await written.wait()
        written.clear()
        # this process counts for the page, too, so what is added twice has been written
        seen = await asyncio.to_thread(values, page)
        assert seen[DEATHS] - before[DEATHS] >= 2 * number


async def test_a_process_that_is_no_worker_writes_nothing() -> None:
    """Without a folder, counting has no consequence."""
    file = MetricsFile(None)
    file.changed()
    file.write()
    assert file._due is None


async def test_the_page_looks_before_it_speaks(page: MetricsPage) -> None:
    """What only the event loop can find out is found out when the page is asked for."""
    looks = 0

    async def look() -> None:
        nonlocal looks
        looks += 1
        metrics.INGRESS_DEPTH.labels("in").set(looks)

    page.look_first(look)
    for expected in (1, 2):
        seen = await asyncio.to_thread(values, page)
        assert seen['patchcord_ingress_depth{list="in"}'] == expected
    metrics.INGRESS_DEPTH.clear()


async def test_a_refresh_that_fails_does_not_fail_the_page() -> None:
    """While the event loop is too busy to refresh gauges, the page has their last values."""
    page = MetricsPage(look_seconds=0.001)

    async def look() -> None:
        await asyncio.Event().wait()

    page.look_first(look)
    assert DEATHS in await asyncio.to_thread(values, page)
    page.close()


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


def test_a_folder_that_was_cleared_away_comes_back(page: MetricsPage) -> None:
    """After /tmp was cleared, the next request for the page makes the folder again."""
    page.folder.rmdir()
    assert DEATHS in values(page)
    assert page.folder.stat().st_mode & 0o077 == 0


def test_close_leaves_nothing_behind() -> None:
    """The folder is made for one start of the service and goes with it."""
    page = MetricsPage()
    assert page.folder.is_dir()
    page.close()
    assert not page.folder.exists()


def test_a_reading_that_is_no_number_hurts_nothing(page: MetricsPage) -> None:
    """A worker's gauge may say NaN; the page comes with all other numbers."""
    metrics.PLUGINS.observe("odd", lambda _: [SimpleNamespace(value=nan, attributes={})], "")
    try:
        MetricsFile(page.folder).write()
        assert "patchcord_worker_deaths_total" in page.render("text/plain")[0].decode()
    finally:
        del metrics.PLUGINS._callbacks["odd"]
