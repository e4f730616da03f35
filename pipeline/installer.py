"""Installs the packages that a configuration names: pip in a process of its own, into one folder.

The folder is the last place where modules are looked for, and everything that is there already,
ours and the folder's, is pinned: a guest's package never brings a second `redis` or `vcon`. pip
installs what is missing beside the folder, and it is moved in when it is whole, metadata last: a
process that dies meanwhile leaves nothing that could be taken for a package.
"""

import fcntl
import importlib
import logging
import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path
from pkgutil import extend_path
from urllib.parse import urlsplit

from core.errors import GuestError
from core.logs import keep_secret, without_secrets
from core.settings import environment
from pipeline.modules_missing import ROOMS, shown
from pipeline.requirement import Requirement, git_variables

log = logging.getLogger(__name__)

SECONDS = 300
"""What one call of pip may take."""
_LAST_LINES = 12  # what pip says of versions that conflict
_NEW = ".new-"
_QUIET = ("--no-input", "--disable-pip-version-check", "--retries", "2", "--timeout", "15")
_OURS_TO_SAY = {"PIP_USER": "0", "PIP_REQUIRE_VIRTUALENV": "0"}  # whatever pip.conf says of them
_PLAIN = ("--progress-bar", "off", "--no-compile", "--no-warn-script-location")

_looking = threading.Lock()


def look_anew() -> None:
    """Let modules be found that were installed meanwhile, by whomever.

    Python's own function raises a KeyError in one of two threads that call it at once: both remove
    the same entries of a cache.
    """
    with _looking:
        importlib.invalidate_caches()


class Installer:
    """Installs into a folder of this Python's own below `folder`, if there is one and it may."""

    def __init__(self, folder: Path | None, *, allowed: bool = True) -> None:
        """What was installed there before can be imported from now on, also where that is all."""
        self._folder = folder and folder.absolute() / str(sys.implementation.cache_tag)
        self.allowed = allowed and self._folder is not None
        if self._folder is not None and self._folder.is_dir():
            self._open(self._folder)

    def install(self, wanted: Requirement, is_there: Callable[[], bool]) -> None:
        """Install a package and what it needs, once for all processes that want it now.

        `is_there` tells whether another process has done it meanwhile.

        Raises:
            GuestError: with what pip said last, without tokens.
        """
        assert self._folder is not None
        _learn_secrets(wanted)
        with self._locked(self._folder):
            self._open(self._folder)
            if not is_there():
                self._install(wanted, self._folder)
                self._open(self._folder)

    @contextmanager
    def _locked(self, folder: Path) -> Iterator[None]:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with (folder / ".lock").open("w") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                yield
        except OSError as error:
            raise GuestError(f"MODULES_DIR: {error.strerror}: {error.filename or folder}") from None

    def _open(self, folder: Path) -> None:
        """Let modules, and parts of our own packages, be found there."""
        if str(folder) not in sys.path:
            sys.path.append(str(folder))
        look_anew()
        for name in (*ROOMS, "lib"):
            package = importlib.import_module(name)
            package.__path__ = extend_path(package.__path__, name)

    def _install(self, wanted: Requirement, folder: Path) -> None:
        began = time.monotonic()
        about = {"package": shown(wanted.text), "folder": str(folder)}
        log.info("installing a module", extra=about)
        for left in folder.glob(f"{_NEW}*"):  # by a process that died
            shutil.rmtree(left, ignore_errors=True)
        with tempfile.TemporaryDirectory(prefix=_NEW, dir=folder) as new:
            pins = Path(new) / "pins.txt"
            pins.write_text("\n".join(_pins()))
            pre = ("--pre",) if wanted.pre else ()
            asked = ("--constraint", str(pins), *pre, wanted.without_credentials)
            self._pip(wanted, "--prefix", new, *asked)
            made = _site_packages(Path(new))
            packages = [each.stem for one in made for each in one.glob("*.dist-info")]
            for one in made:
                _move_into(one, folder)
        seconds = round(time.monotonic() - began, 1)
        log.info("module installed", extra={**about, "packages": packages, "seconds": seconds})

    def _pip(self, wanted: Requirement, *arguments: str) -> None:
        command = [sys.executable, "-P", "-m", "pip", "install", *_QUIET, *_PLAIN, *arguments]
        environ = environment()
        # a repository that wants a password must fail, and what is in the folder counts as there
        path = [str(self._folder), *environ.get("PYTHONPATH", "").split(os.pathsep)]
        more = {"GIT_TERMINAL_PROMPT": "0", "PYTHONPATH": os.pathsep.join(filter(None, path))}
        more |= _OURS_TO_SAY | git_variables(wanted, environ)
        try:
            done = subprocess.run(  # noqa: S603 -- one requirement, checked; no shell
                command,
                env={**environ, **more},
                capture_output=True,
                text=True,
                errors="replace",
                timeout=SECONDS,
                check=False,
                stdin=subprocess.DEVNULL,
            )
        except subprocess.TimeoutExpired:
            msg = f"installing {shown(wanted.text)} took more than {SECONDS} s"
            raise GuestError(msg) from None
        if done.returncode != 0:
            said = _last_lines(done.stdout + done.stderr)
            raise GuestError(f"installing {shown(wanted.text)} failed: {said}")


def _pins() -> list[str]:
    """Every package that can be imported now, in exactly this version."""
    found = {dist.name: dist.version for dist in metadata.distributions() if dist.name}
    return [f"{name}=={version}" for name, version in sorted(found.items())]


def _site_packages(prefix: Path) -> set[Path]:
    """Where pip puts modules below a prefix: one folder, on some systems two."""
    scheme = sysconfig.get_preferred_scheme("prefix")
    bases = {"base": str(prefix), "platbase": str(prefix)}
    folders = {Path(sysconfig.get_path(kind, scheme, bases)) for kind in ("purelib", "platlib")}
    return {folder for folder in folders if folder.is_dir()}


def _move_into(source: Path, target: Path) -> None:
    """Move what is in one folder into another: folders are merged, files replaced."""
    for entry in sorted(source.iterdir(), key=lambda each: each.suffix == ".dist-info"):
        there = target / entry.name
        if entry.is_dir() and there.is_dir():
            _move_into(entry, there)
        else:
            entry.replace(there)


def _learn_secrets(wanted: Requirement) -> None:
    parts = urlsplit(wanted.url or "")
    keep_secret(*(part for part in (parts.username, parts.password) if part))


def _last_lines(output: str) -> str:
    """What pip said last, in one line."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    return without_secrets(shown("; ".join(lines[-_LAST_LINES:]))) or "pip said nothing"
