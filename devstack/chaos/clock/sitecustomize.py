"""A wall clock that a scenario can step: Python imports this at the start of every process.

`CHAOS_CLOCK` names a file with the seconds by which `time.time` differs from the machine's clock.
Monotonic clocks are left alone, as a step of the machine's clock leaves them alone.
"""

import os
import time
from pathlib import Path

_machine, _machine_ns = time.time, time.time_ns


def _offset() -> float:
    try:
        return float(Path(os.environ["CHAOS_CLOCK"]).read_text() or 0)
    except (KeyError, OSError, ValueError):  # not asked for, or just being written
        return 0.0


time.time = lambda: _machine() + _offset()
time.time_ns = lambda: _machine_ns() + int(_offset() * 1e9)
