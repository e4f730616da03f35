"""A deliberately broken build, which loses the claims of a dead worker, as a plain `LPOP` would.

It checks the checker: the checkout is copied, one word of one script is changed in the copy, and
the same scenario must report lost vCons there.
"""

import asyncio
import json
import os
import shutil
import sys
from pathlib import Path

from devstack.chaos.waiting import ChaosError
from devstack.servers.folders import temporary_folder

CHECKOUT = Path(__file__).parents[2]
LEFT_OUT = (".*", "__pycache__", "tests", "benchmarks", "docs")
SCRIPT = Path("pipeline/redis_client/scripts/runs/rescue.lua")
HELD = "'pc:inflight:' .. worker"
POPPED = "'pc:popped:' .. worker"
EVENT, TIMES = "one of two workers killed", 8


async def lost_in_broken_build() -> int:
    """The number of vCons that the broken build loses while workers are killed.

    Raises:
        ChaosError: if the script cannot be changed, or the scenario fails to run.
    """
    with temporary_folder() as folder:
        copy = folder / "checkout"
        shutil.copytree(CHECKOUT, copy, ignore=shutil.ignore_patterns(*LEFT_OUT))
        break_build(copy)
        return await _lost_in(copy)


def break_build(checkout: Path) -> None:
    """Change the rescue script so that it reads another key than the one with the claims.

    Raises:
        ChaosError: if the script does not contain that word exactly once.
    """
    script = checkout / SCRIPT
    text = script.read_text()
    if text.count(HELD) != 1:
        raise ChaosError(f"to break the build, {SCRIPT} must say {HELD} once")
    script.write_text(text.replace(HELD, POPPED))


async def _lost_in(checkout: Path) -> int:
    arguments = ("--json", "--only", EVENT, "--times", str(TIMES))
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "devstack.chaos",
        *arguments,
        cwd=checkout,
        env={name: value for name, value in os.environ.items() if name != "PYTHONPATH"},
        stdout=asyncio.subprocess.PIPE,
    )
    said, _ = await process.communicate()
    try:
        return int(json.loads(said)["lost"])
    except (ValueError, KeyError):
        code = process.returncode
        raise ChaosError(f"the broken build told of no vCon and ended with {code}") from None
