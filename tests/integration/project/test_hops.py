"""How many files a request, a vCon, a push, a POST and the configuration pass through."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

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


def test_the_page_has_a_figure_of_each_walk(walks: dict[str, list[str]]) -> None:
    """The table and the report have the same walks."""
    assert CEILINGS.keys() == walks.keys() == HEADINGS.keys()
