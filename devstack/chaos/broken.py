"""A deliberately broken build: what a worker has claimed is gone when it dies, as if popped.

A check of the checker. The checkout is copied, one word of one script is changed in the copy, and
the same scenario runs there: vCons must be lost.
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
SCRIPT = Path("pipeline/redis_client/scripts/rescue.lua")
HELD = "'pc:inflight:' .. worker"
POPPED = "'pc:popped:' .. worker"
EVENT, TIMES = "one of two workers killed", 8


async def lost_in_broken_build() -> int:
    """How many vCons the broken build loses while workers are killed.

    Raises:
        ChaosError: the build cannot be broken, or the scenario could not be played.
    """
    with temporary_folder() as folder:
        copy = folder / "checkout"
        shutil.copytree(CHECKOUT, copy, ignore=shutil.ignore_patterns(*LEFT_OUT))
        break_build(copy)
        return await _lost_in(copy)


def break_build(checkout: Path) -> None:
    """Let the rescue look elsewhere than where a claim is written down.

    Raises:
        ChaosError: the script does not say that in one place any more.
    """
    script = checkout / SCRIPT
    text = script.read_text()
    if text.count(HELD) != 1:
        raise ChaosError(f"to break the build, {SCRIPT} must say {HELD} once")
    script.write_text(text.replace(HELD, POPPED))


async def _lost_in(checkout: Path) -> int:
    arguments = ("--json", "--only", EVENT, "--times", str(TIMES))
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "devstack.chaos", *arguments),
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
