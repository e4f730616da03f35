"""`python -m tests.every_plugin`: each link and storage of vcon-server in a chain of its own.

With `--modules FOLDER`, a checkout of vcon-server, those are its own modules: its
`conserver/links` and `common/storage` precede ours in the packages `links` and `storage`, and what
it does not have is left out. Nothing of it is copied. What they import must be installed;
`PYTHONPATH` may name a folder with versions older than ours, and `PATH` is theirs too, for
`ffprobe`. A row for each tells whether it ran twice, and why not. The exit code is 1 if any did
not.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from stat import S_IMODE

from tests.every_plugin.each import Module, run_each
from tests.every_plugin.table import LINKS, STORAGES

ROOT = Path(__file__).parents[2]
PLACES = {"links": ("conserver/links", "links"), "storage": ("common/storage", "storage")}
"""Where a checkout has the modules of a package."""
LEAD = "from tests.every_plugin.names import lead\nlead()\n"
FIRST = "import {room}\n{room}.__path__.insert(0, {folder!r})\n"


def folders(checkout: Path) -> dict[str, Path]:
    """The folder of each package in a checkout."""
    found = {
        room: [checkout / place for place in places if (checkout / place).is_dir()]
        for room, places in PLACES.items()
    }
    return {room: each[0].resolve() for room, each in found.items() if each}


def has(folder: Path, module: str) -> bool:
    """Whether a module is in the folder."""
    return (folder / f"{module}.py").is_file() or (folder / module / "__init__.py").is_file()


def modules(theirs: dict[str, Path] | None) -> list[Module]:
    """What is run: all, or those that a checkout has."""
    listed = [Module("links", each) for each in LINKS]
    listed += [Module("storage", each) for each in STORAGES]
    if theirs is None:
        return listed
    return [each for each in listed if each.room in theirs and has(theirs[each.room], each.name)]


@contextmanager
def same_modes(folder: Path) -> Iterator[None]:
    """Give the folders above their modes back: `storage.file` of vcon-server changes them."""
    modes = {each: each.stat().st_mode for each in folder.parents}
    try:
        yield
    finally:
        for each, mode in modes.items():
            if each.stat().st_mode != mode:
                each.chmod(S_IMODE(mode))


def paths(first: Path) -> dict[str, str]:
    """The paths of a process that runs modules of others."""
    given = os.environ.get("PYTHONPATH")
    path = [str(first), str(ROOT), *([given] if given else [])]
    return {"PYTHONPATH": os.pathsep.join(path), "PATH": os.environ.get("PATH", os.defpath)}


def main() -> int:
    """Run them and print the rows."""
    parser = argparse.ArgumentParser(prog="python -m tests.every_plugin", description=__doc__)
    parser.add_argument("--modules", type=Path, metavar="FOLDER", help="a checkout of vcon-server")
    given = parser.parse_args()
    theirs = folders(given.modules) if given.modules else None
    chosen = modules(theirs)
    if not chosen:
        parser.error(f"{given.modules} has no modules in conserver/links or common/storage")
    with tempfile.TemporaryDirectory() as folder, same_modes(Path(folder)):
        path = Path(folder) / "path"
        path.mkdir()
        lines = [FIRST.format(room=room, folder=str(at)) for room, at in (theirs or {}).items()]
        (path / "sitecustomize.py").write_text("".join([LEAD, *lines]))
        settings = paths(path) if theirs else {}
        outcomes = asyncio.run(run_each(Path(folder), chosen, settings))
    for each, said in outcomes.items():
        sys.stdout.write(f"{each:32} {said or 'ran twice'}\n")
    ran = sum(not said for said in outcomes.values())
    sys.stdout.write(f"{ran} of {len(outcomes)} ran\n")
    return int(ran < len(outcomes))


if __name__ == "__main__":
    sys.exit(main())
