"""Deliberately broken builds, which check the checker.

The checkout is copied, one place of one file is changed in the copy, and a scenario must report
vCons that were lost or run again there.
"""

import asyncio
import json
import os
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

from devstack.chaos.waiting import ChaosError
from devstack.servers.folders import temporary_folder

CHECKOUT = Path(__file__).parents[3]
LEFT_OUT = (".*", "__pycache__", "tests", "benchmarks", "docs")


@dataclass(frozen=True, slots=True)
class Break:
    """What is changed in a build: the text `says` of `file` is replaced.

    `event` is the scenario that must detect it by the figure `count`.
    """

    name: str
    file: Path
    says: str
    instead: str
    event: str
    times: int
    count: str = "lost"


BREAKS = (
    Break(
        "forgets the claims of a dead worker, as a plain LPOP would",
        Path("pipeline/redis_client/scripts/runs/rescue.lua"),
        "'pc:inflight:' .. worker",
        "'pc:popped:' .. worker",
        "one of two workers killed",
        8,
    ),
    Break(
        "answers before the commit",
        Path("pipeline/custody/keeper.py"),
        "            return await self._accepts(item)",
        "            return ''",
        "FLUSHALL",
        3,
    ),
)


async def found_in(broken: Break) -> int:
    """The number of vCons that a broken build loses or runs again.

    Raises:
        ChaosError: if the file cannot be changed, or the scenario fails to run.
    """
    with temporary_folder() as folder:
        copy = folder / "checkout"
        shutil.copytree(CHECKOUT, copy, ignore=shutil.ignore_patterns(*LEFT_OUT))
        break_build(copy, broken)
        return await _found_in(copy, broken)


def break_build(checkout: Path, broken: Break) -> None:
    """Change the file.

    Raises:
        ChaosError: if it does not contain that text exactly once.
    """
    file = checkout / broken.file
    text = file.read_text()
    if text.count(broken.says) != 1:
        raise ChaosError(f"to break the build, {broken.file} must say {broken.says} once")
    file.write_text(text.replace(broken.says, broken.instead))


async def _found_in(checkout: Path, broken: Break) -> int:
    arguments = ("--json", "--only", broken.event, "--times", str(broken.times))
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
        return int(json.loads(said)[broken.count])
    except (ValueError, KeyError):
        code = process.returncode
        raise ChaosError(f"the broken build told of no vCon and ended with {code}") from None
