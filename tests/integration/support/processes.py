"""What tests ask of the machine about processes."""

from __future__ import annotations

import os
import select
from pathlib import Path

CEILING_SECONDS = 60


def processes_under(folder: Path) -> list[str]:
    """Returns the command lines that name something in the folder."""
    lines = []
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            lines.append(entry.read_bytes().decode(errors="replace"))
        except OSError:  # it has ended meanwhile
            continue
    return [line for line in lines if str(folder) in line]


def wait_until_ended(pid: int) -> None:
    """Returns when the process is gone; it need not be a child."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    ended, _, _ = select.select([descriptor], [], [], CEILING_SECONDS)
    os.close(descriptor)
    assert ended, f"process {pid} goes on"
