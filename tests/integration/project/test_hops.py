"""How many files a request, a vCon, a push, a POST and the configuration pass through."""

from __future__ import annotations

import asyncio
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from core.concurrency.thread_pool import in_own_thread
from core.observability import loop_watch
from core.observability.loop_watch import LoopWatch
from core.run_ids import new_run_id
from pipeline.redis_client.periodic import Once, every
from tests import hops

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
FIGURES = re.findall(r"^\| `(\w+)` \|.*\| (\d+) \|$", PAGE, re.MULTILINE)
CEILINGS = {name: int(count) for name, count in FIGURES}
"""Files of each walk, as the page has them; see `tests/hops.py` for what counts."""
HEADINGS = {
    "request": "A request",
    "vcon": "A vCon",
    "partner": "A partner's push",
    "http": "An HTTP request",
    "configuration": "The configuration",
}


@pytest.fixture(scope="module")
def walks() -> dict[str, list[str]]:
    """The files of each walk, taken in a process of its own: the walks install the parts of one."""
    command = [sys.executable, "-m", "tests.hops", "--json"]
    told = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, timeout=300)
    found: dict[str, list[str]] = json.loads(told.stdout.splitlines()[-1])
    return found


@pytest.mark.parametrize("name", CEILINGS)
def test_a_walk_passes_through_few_files(walks: dict[str, list[str]], name: str) -> None:
    """At most as many as its ceiling; `python -m tests.hops` prints which."""
    files = walks[name]
    assert len(files) <= CEILINGS[name], "\n".join([f"{len(files)} files:", *files])


@pytest.mark.parametrize("name", CEILINGS)
def test_the_page_lists_the_files_of_the_walk(walks: dict[str, list[str]], name: str) -> None:
    """Each is on the walk, and none is missing; a push shares those that a request has, too."""
    part = PAGE.partition(f"### {HEADINGS[name]}\n")[2].partition("\n#")[0]
    listed = re.findall(r"^\d+\. `([^`]+)`", part, re.MULTILINE)
    assert [file for file in listed if file not in walks[name]] == []
    shared = walks["request"] if name == "partner" else []
    assert set(walks[name]) - set(listed) - set(shared) == set()


async def test_what_is_repeated_by_the_clock_is_on_no_walk(monkeypatch: pytest.MonkeyPatch) -> None:
    """However long a walk takes; what the walk enters itself is on it."""
    monkeypatch.setattr(loop_watch, "BEAT", 0.02)
    round_over, watch = asyncio.Event(), LoopWatch(60)

    async def chore() -> None:
        await in_own_thread(new_run_id)
        watch._beat_at = 0
        round_over.set()

    async def walk() -> None:
        round_over.clear()
        await round_over.wait()
        while not watch._beat_at:  # noqa: ASYNC110 -- a beat is no event
            await asyncio.sleep(0.01)
        Once().first("text")

    with hops.told_apart():
        beside = asyncio.create_task(every(0.01, chore))
        watch.start()
        files = await hops.taken(walk)
        watch.stop()
        beside.cancel()
        await asyncio.gather(beside, return_exceptions=True)
    assert set(files) == {"pipeline/redis_client/periodic.py"}


def test_the_page_has_a_figure_of_each_walk(walks: dict[str, list[str]]) -> None:
    """The table and the report have the same walks."""
    assert CEILINGS.keys() == walks.keys() == HEADINGS.keys()
