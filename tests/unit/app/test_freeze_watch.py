"""The watch over a process whose interpreter is held: real processes, since it ends one."""

from __future__ import annotations

import subprocess
import sys

from tests.unit.support.source_files import ROOT

HELD = """
import re
from app.freeze_watch import FreezeWatch
def plugin():
    FreezeWatch(0.5).start()
    re.match("(a+)+$", "a" * 64 + "b")
plugin()
"""
WAITING = """
import faulthandler, time
from app import freeze_watch
asked = []
for name in ("dump_traceback_later", "cancel_dump_traceback_later"):
    def heard(*words, name=name, ask=getattr(faulthandler, name), **more):
        ask(*words, **more)
        asked.append(name)
    setattr(faulthandler, name, heard)
freeze_watch.LOOKS = 100_000
watch = freeze_watch.FreezeWatch(600)
watch.start()
while len(asked) < 5:
    time.sleep(0.001)
watch.stop()
print(asked[-1])
"""


def run(program: str) -> subprocess.CompletedProcess[str]:
    """A process that does this."""
    return subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False
    )


def test_a_process_that_holds_its_interpreter_ends() -> None:
    """It says what every thread was doing; without the watch it would never end."""
    ended = run(HELD)
    assert (ended.returncode, ended.stdout) == (1, "")
    assert ended.stderr.startswith("Timeout (")
    assert "in plugin" in ended.stderr


def test_a_process_that_only_waits_goes_on() -> None:
    """A call that blocks lets the timer be restarted, and after `stop` there is none."""
    ended = run(WAITING)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert ended.stdout == "cancel_dump_traceback_later\n"
