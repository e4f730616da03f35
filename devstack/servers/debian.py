"""Programs that no Python package contains: installed ones, or unpacked Debian packages.

apt fetches the packages and `dpkg-deb` unpacks them into `.devstack/<name>`; nothing is installed,
and no root is needed.
"""

import fcntl
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from devstack.errors import StackError
from devstack.machine import CHECKOUT
from devstack.servers.process import ENVIRONMENT

APT = ("apt-get", "-qq", "-o", "Acquire::http::Timeout=20", "-o", "Acquire::Retries=1")
TRIPLET = f"{os.uname().machine}-linux-gnu"
LIBRARIES = Path("usr", "lib", TRIPLET)
ROOT_LIBRARIES = Path("lib", TRIPLET)
"""Of Debian 12 and older, which have not moved all libraries below `/usr`."""
NEVER_UNPACKED = frozenset({"libc6"})
"""The C library and the loader are of one version: another one beside the machine's would crash."""
DEPENDENCY = re.compile(r"^ [ |]Depends: ([^\s<>]+)$", re.MULTILINE)
"""What `apt-cache depends` prints for a package that exists."""
INSTALLED_THEN = re.compile(r"^Inst (\S+) ", re.MULTILINE)
"""What `apt-get --simulate` prints."""


@dataclass(frozen=True)
class Unpacked:
    """The location of the packages: `/`, or the folder in which they are unpacked."""

    root: Path

    @property
    def environment(self) -> dict[str, str]:
        """The environment variables for the programs' libraries."""
        return {**ENVIRONMENT, "LD_LIBRARY_PATH": self.library_path(LIBRARIES, ROOT_LIBRARIES)}

    def library_path(self, *folders: Path) -> str:
        """A value of `LD_LIBRARY_PATH` for folders below `/`."""
        return ":".join(str(self.root / folder) for folder in folders)


@dataclass(frozen=True)
class Packages:
    """A set of packages, and the program that is needed from them."""

    name: str
    program: Path
    """Below `/`."""
    packages: tuple[str, ...]
    linked: str = ""
    """The package of these whose dependencies are fetched, too, as far as this machine lacks them;
    for programs with too many libraries to name, called otherwise in each release of Debian."""

    @property
    def _folder(self) -> Path:
        return CHECKOUT / ".devstack" / self.name

    def found(self) -> Unpacked | None:
        """The location of the program, or None."""
        roots = (Path("/"), self._folder)
        return next((Unpacked(root) for root in roots if (root / self.program).exists()), None)

    def fetch(self) -> None:
        """Unpack the packages into this checkout.

        Raises:
            StackError: if that fails; the message has the cause.
        """
        self._folder.parent.mkdir(exist_ok=True)
        with _alone(self.name), tempfile.TemporaryDirectory(dir=self._folder.parent) as name:
            if self.found():
                return
            folder = Path(name)
            try:
                self._download(folder)
            except StackError:  # apt's lists are missing or old
                with _alone("apt"):  # two at a time fail
                    _run(*APT, "update", folder=folder)
                self._download(folder)
            for package in folder.glob("*.deb"):
                _run("dpkg-deb", "-x", package, folder / "root", folder=folder)
            (folder / "root").rename(self._folder)

    def _download(self, folder: Path) -> None:
        lacking = self._lacking(folder) if self.linked else ()
        _run(*APT, "download", *self.packages, *lacking, folder=folder)

    def _lacking(self, folder: Path) -> Sequence[str]:
        """The packages that apt would install for the dependencies of `linked`."""
        shown = _run("apt-cache", "depends", "--important", self.linked, folder=folder)
        needed = set(DEPENDENCY.findall(shown)) - set(self.packages)
        plan = ("install", "--simulate", "--no-install-recommends", "--no-upgrade")
        shown = _run(*APT, *plan, *sorted(needed), folder=folder)
        return sorted(set(INSTALLED_THEN.findall(shown)) - {*self.packages, *NEVER_UNPACKED})

    def try_to_fetch(self, otherwise: str) -> int:
        """Fetch missing packages; always returns 0, since other tests can run without them."""
        try:
            if self.found() is None:
                self.fetch()
        except StackError as error:
            print(f"{self.name}: {error}; {otherwise}", file=sys.stderr)
        return 0


@contextmanager
def _alone(name: str) -> Iterator[None]:
    with (CHECKOUT / ".devstack" / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _run(*command: str | Path, folder: Path) -> str:
    environment = {**os.environ, "LC_ALL": "C"}
    try:
        done = subprocess.run(
            command, cwd=folder, capture_output=True, text=True, check=False, env=environment
        )
    except FileNotFoundError:
        raise StackError(f"this machine has no {command[0]}") from None
    if done.returncode:
        raise StackError(f"{command[0]} failed: {done.stderr.strip()[-300:]}")
    return done.stdout
