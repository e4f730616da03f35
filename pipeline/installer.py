"""Installs the packages that a configuration names: pip in a process of its own, into one folder.

The folder is the last place where modules are looked for, and everything that is there already,
ours and the folder's, is pinned: a guest's package never brings a second `redis` or `vcon`. So
pip is asked first what it would install beside what is there, and then installs exactly that.
"""

import fcntl
import importlib
import json
import logging
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path
from pkgutil import extend_path
from typing import Any
from urllib.parse import urlsplit

from core.errors import GuestError
from core.logs import keep_secret, without_secrets
from core.settings import environment
from pipeline.modules_missing import ROOMS, shown
from pipeline.requirement import Requirement

log = logging.getLogger(__name__)

SECONDS = 300
"""What one call of pip may take."""
_LAST_LINES = 3
_QUIET = ("--no-input", "--disable-pip-version-check", "--retries", "2", "--timeout", "15")


class Installer:
    """Installs into a folder of this Python's own below `folder`; with None, installs nothing."""

    def __init__(self, folder: Path | None) -> None:
        """What was installed there before can be imported from now on."""
        self._folder = folder and folder.absolute() / str(sys.implementation.cache_tag)
        if self._folder is not None and self._folder.is_dir():
            self._open(self._folder)

    @property
    def allowed(self) -> bool:
        """Whether it installs anything."""
        return self._folder is not None

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
        importlib.invalidate_caches()
        for name in (*ROOMS, "lib"):
            package = importlib.import_module(name)
            package.__path__ = extend_path(package.__path__, name)

    def _install(self, wanted: Requirement, folder: Path) -> None:
        began = time.monotonic()
        about = {"package": shown(wanted.text), "folder": str(folder)}
        log.info("installing a module", extra=about)
        with tempfile.TemporaryDirectory() as work:
            pins = Path(work) / "pins.txt"
            pins.write_text("\n".join(_pins()))
            pre = ("--pre",) if wanted.pre else ()
            plan = Path(work) / "plan.json"
            asked = ("--constraint", str(pins), *pre, wanted.text)
            self._pip(wanted, "--dry-run", "--quiet", "--report", str(plan), *asked)
            parts = _parts(json.loads(plan.read_text())["install"], wanted)
            if parts:
                self._pip(wanted, "--no-deps", "--quiet", "--target", str(folder), *pre, *parts)
        seconds = round(time.monotonic() - began, 1)
        log.info("module installed", extra={**about, "packages": len(parts), "seconds": seconds})

    def _pip(self, wanted: Requirement, *arguments: str) -> None:
        command = [sys.executable, "-m", "pip", "install", *_QUIET, *arguments]
        environ = environment()
        # a repository that wants a password must fail, and what is in the folder counts as there
        path = [str(self._folder), *environ.get("PYTHONPATH", "").split(os.pathsep)]
        more = {"GIT_TERMINAL_PROMPT": "0", "PYTHONPATH": os.pathsep.join(filter(None, path))}
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


def _parts(plan: Sequence[dict[str, Any]], wanted: Requirement) -> list[str]:
    """What to install, as pip takes it: the package as it was asked for, the others by version."""
    return [wanted.text if each["requested"] else _part(each) for each in plan]


def _part(planned: dict[str, Any]) -> str:
    about, source = planned["metadata"], planned["download_info"]
    if not planned["is_direct"]:
        return f"{about['name']}=={about['version']}"
    vcs = source.get("vcs_info")
    url = f"{vcs['vcs']}+{source['url']}@{vcs['commit_id']}" if vcs else source["url"]
    return f"{about['name']} @ {url}"


def _learn_secrets(wanted: Requirement) -> None:
    parts = urlsplit(wanted.url or "")
    keep_secret(*(part for part in (parts.username, parts.password) if part))


def _last_lines(output: str) -> str:
    """What pip said last, in one line."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    return without_secrets(shown("; ".join(lines[-_LAST_LINES:]))) or "pip said nothing"
