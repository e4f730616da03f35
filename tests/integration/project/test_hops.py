"""How many files a request, a vCon, a partner's push and the configuration pass through."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
CEILINGS = {"request": 37, "vcon": 33, "partner": 45, "configuration": 23}
"""Files; see `tests/hops.py` for what counts, and docs/architecture.md for the walks."""


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
