"""python-vcon, with which tests exchange signed and encrypted vCons.

    python -m devstack.counterparts.python_vcon

Its package is called `vcon`, as that of the service's own library, so this command installs it
into `.devstack/python-vcon`, pinned as in `requirements/python-vcon.txt`. It succeeds also without
a network; the tests are skipped then, except if `CI` is set. `call` runs `peer.py` beside this file
in a process of its own that sees the folder.
"""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from devstack.machine import CHECKOUT, attempt, find_uv, say

PINS = CHECKOUT / "requirements" / "python-vcon.txt"
FOLDER = CHECKOUT / ".devstack" / "python-vcon"
STAMP = FOLDER / "installed.txt"
PEER = Path(__file__).with_name("peer.py")
SECONDS = 60.0


def is_installed() -> bool:
    """Whether the folder has what the file pins now."""
    return STAMP.exists() and STAMP.read_bytes() == PINS.read_bytes()


def fetch() -> int:
    """Install it if it is missing; returns 0."""
    if is_installed():
        return 0
    shutil.rmtree(FOLDER, ignore_errors=True)
    how = ("pip", "install", "--require-hashes", "--no-deps", "--target", FOLDER, "-r", PINS)
    said = attempt(find_uv(), *how)
    if said is not None:
        say(f"python-vcon could not be installed ({said}); it is not tested against")
    else:
        STAMP.write_bytes(PINS.read_bytes())
    return 0


def call(orders: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """What python-vcon answers to orders of `peer.py`, each `result` or `error`."""
    ran = subprocess.run(
        (sys.executable, "-W", "ignore", PEER),
        input=json.dumps(list(orders)),
        capture_output=True,
        encoding="utf-8",
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(FOLDER), "HOME": str(FOLDER)},
        timeout=SECONDS,
        check=True,
    )
    found: list[dict[str, Any]] = json.loads(ran.stdout.splitlines()[-1])
    return found


if __name__ == "__main__":
    sys.exit(fetch())
