"""The watch over a process whose interpreter is held: real processes, since it ends one."""

from __future__ import annotations

import subprocess
import sys

from tests.unit.support.source_files import ROOT

WATCHED = """
import re, time
from app.freeze_watch import FreezeWatch
watch = FreezeWatch({limit})
watch.start()
def plugin():
    {work}
plugin()
watch.stop()
time.sleep({after})
print("went on")
"""
HOLDS = 're.match("(a+)+$", "a" * 64 + "b")'


def run(limit: float, work: str, after: float = 0) -> subprocess.CompletedProcess[str]:
    """A process that does this under watch."""
    program = WATCHED.format(limit=limit, work=work, after=after)
    return subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False
    )


def test_a_process_that_holds_its_interpreter_ends() -> None:
    """It says what every thread was doing; without the watch it would never end."""
    ended = run(0.5, HOLDS)
    assert (ended.returncode, ended.stdout) == (1, "")
    assert ended.stderr.startswith("Timeout (")
    assert "in plugin" in ended.stderr


def test_a_process_that_only_waits_goes_on() -> None:
    """A call that blocks lets other threads run, and after `stop` nothing is watched."""
    ended = run(2, "time.sleep(2.5)", after=2.5)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "went on\n", "")
