"""Installs the packages that a configuration names: pip in a process of its own, into one folder.

The folder is the last place where modules are looked for, and everything that is there already,
ours and the folder's, is pinned: a plugin's package never brings a second `redis` or `vcon`. pip
installs what is missing beside the folder, and it is moved in when it is whole, metadata last: a
process that dies meanwhile leaves nothing that could be taken for a package.

A package that was installed for another specification than the configuration has now is replaced,
in the same way: pip does not see it, and its files go when the new ones are whole.
"""

import fcntl
import importlib
import logging
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path
from pkgutil import extend_path
from urllib.parse import urlsplit

from packaging import requirements
from packaging.utils import canonicalize_name

from core.errors import PluginFailedError
from core.observability.logs import keep_secret, without_secrets
from core.settings import inherited_environment
from pipeline.plugins.missing import ROOMS, shown
from pipeline.plugins.modules_folder import (
    differs,
    hidden,
    installed_in,
    invalidate_caches,
    is_for_another,
    is_hiding,
    needs_in,
    packages_of,
    show_again,
    site_packages,
    take_in,
)
from pipeline.plugins.requirement import Requirement, git_variables, inexact

# What pip reads of the service's own packages where the requirement files leave out their needs.
#
# The `vcon` package names packages that the service runs without (requirements/excluded.in). A
# plugin whose package needs `vcon` would have pip install them after all. pip reads the first
# metadata that it finds of a package, so it is given a copy without those needs; a plugin that
# names one of them itself still gets it.

_NEED = "Requires-Dist:"


def write_amended(place: Path, modules: Path) -> None:
    """Write, below `place`, metadata for each package outside `modules` that lacks a need."""
    installed = {canonicalize_name(each.name) for each in metadata.distributions() if each.name}
    own = [each for each in sys.path if each != str(modules)]
    for dist in metadata.distributions(path=own):
        text = dist.read_text("METADATA") or ""
        if (amended := without_absent(text, installed)) != text:
            about = place / f"{dist.name}-{dist.version}.dist-info"
            about.mkdir(exist_ok=True)
            (about / "METADATA").write_text(amended, encoding="utf-8")


def without_absent(text: str, installed: Collection[str]) -> str:
    """A METADATA file without the needs that hold here and are not among the installed names."""
    head, blank, rest = text.partition("\n\n")
    lines = [line for line in head.split("\n") if not _is_absent(line, installed)]
    return "\n".join(lines) + blank + rest


def _is_absent(line: str, installed: Collection[str]) -> bool:
    if not line.startswith(_NEED):
        return False
    try:
        need = requirements.Requirement(line.removeprefix(_NEED).strip())
    except requirements.InvalidRequirement:  # pip's to refuse
        return False
    holds = need.marker is None or need.marker.evaluate({"extra": ""})
    return holds and canonicalize_name(need.name) not in installed


log = logging.getLogger(__name__)

SECONDS = 300
"""What one call of pip may take."""
_LAST_LINES = 12  # what pip says of versions that conflict
_NEW = ".new-"
_QUIET = ("--no-input", "--disable-pip-version-check", "--retries", "2", "--timeout", "15")
_OURS_TO_SAY = {"PIP_USER": "0", "PIP_REQUIRE_VIRTUALENV": "0"}  # whatever pip.conf says of them
_PLAIN = ("--progress-bar", "off", "--no-compile", "--no-warn-script-location")


class Installer:
    """Installs into a folder of this Python's own below `folder`, if there is one and it may."""

    def __init__(
        self,
        folder: Path | None,
        *,
        allowed: bool = True,
        upgrade: bool = True,
        exact: bool = False,
    ) -> None:
        """What was installed there before can be imported from now on, also where that is all.

        `upgrade`: whether what is there for another specification may be replaced; `exact`:
        whether only one version, one commit or a file with its digest is installed.
        """
        self._exact = exact
        self.folder = folder and folder.absolute() / str(sys.implementation.cache_tag)
        self.allowed = allowed and self.folder is not None
        self._upgrade = upgrade and self.allowed
        if self.folder is not None and self.folder.is_dir():
            self._open(self.folder)

    def install(self, wanted: Requirement, is_there: Callable[[], bool]) -> None:
        """Install a package and what it needs, once for all processes that want it now.

        `is_there` tells whether another process has done it meanwhile.

        Raises:
            PluginFailedError: with what pip said last, without tokens, or why pip is not asked.
        """
        assert self.folder is not None
        self._check_exact(wanted)
        _learn_secrets(wanted)
        with self._locked(self.folder):
            self._open(self.folder)
            if not is_there():
                self._install(wanted, self.folder, [])
                self._open(self.folder)

    def bring_up_to_date(self, module: str, wanted: Requirement, current: Collection[str]) -> None:
        """Replace the package of a module that is there for another specification, if it may be.

        `current` are the hashes of all specifications that the configuration has now. Modules that
        were imported before stay as they are until a restart.

        Raises:
            PluginFailedError: with what pip said last, without tokens, when what is there is not
            what is
                asked for. Where it would do as well, that is only logged.
        """
        if not self._upgrade or self.folder is None or not self.folder.is_dir():
            return
        if not is_hiding(self.folder) and self._other(module, wanted, current) is None:
            return
        _learn_secrets(wanted)
        with self._locked(self.folder):
            if (other := self._other(module, wanted, current)) is not None:
                self._replace(other, wanted, self.folder)
                self._open(self.folder)

    def _other(
        self, module: str, wanted: Requirement, current: Collection[str]
    ) -> metadata.Distribution | None:
        """The package in the folder that is there for another specification, if one is."""
        assert self.folder is not None
        names = [*packages_of(self.folder, module), *([wanted.name] if wanted.name else [])]
        found = (installed_in(self.folder, name) for name in names)
        known = (dist for dist in found if dist is not None)
        return next((dist for dist in known if is_for_another(dist, wanted, current)), None)

    def _replace(self, other: metadata.Distribution, wanted: Requirement, folder: Path) -> None:
        try:
            self._check_exact(wanted)
            self._install(wanted, folder, [other])
        except PluginFailedError as error:
            if differs(other, wanted):
                raise
            about = {"package": shown(wanted.text), "error": str(error)}
            log.warning("module not looked for anew", extra=about)

    @contextmanager
    def _locked(self, folder: Path) -> Iterator[None]:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with (folder / ".lock").open("w") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                show_again(folder)
                yield
        except OSError as error:
            raise PluginFailedError(
                f"MODULES_DIR: {error.strerror}: {error.filename or folder}"
            ) from None

    def _open(self, folder: Path) -> None:
        """Let modules, and parts of our own packages, be found there."""
        if str(folder) not in sys.path:
            sys.path.append(str(folder))
        invalidate_caches()
        for name in (*ROOMS, "lib"):
            package = importlib.import_module(name)
            package.__path__ = extend_path(package.__path__, name)

    def _check_exact(self, wanted: Requirement) -> None:
        if self._exact and (advice := inexact(wanted)):
            msg = f"{shown(wanted.text)} is not installed in production: {advice}"
            raise PluginFailedError(f"{msg} (DYNAMIC_INSTALL=any allows it)")

    def _install(
        self, wanted: Requirement, folder: Path, replaced: list[metadata.Distribution]
    ) -> None:
        began = time.monotonic()
        about = {"package": shown(wanted.text)}
        log.info("installing a module", extra=about)
        for left in folder.glob(f"{_NEW}*"):  # by a process that died
            shutil.rmtree(left, ignore_errors=True)
        with tempfile.TemporaryDirectory(prefix=_NEW, dir=folder) as new:
            with hidden(replaced):
                self._fetch(wanted, Path(new), replacing=bool(replaced))
            made = site_packages(Path(new))
            packages = [name for one in made for name in take_in(one, folder, wanted, replaced)]
        seconds = round(time.monotonic() - began, 1)
        log.info("module installed", extra={**about, "packages": packages, "seconds": seconds})

    def _fetch(self, wanted: Requirement, new: Path, *, replacing: bool) -> None:
        """Have pip install beside the folder; in place of another, what that needed may change."""
        pins = _pins(self.folder) if replacing else _pins()
        (new / "pins.txt").write_text("\n".join(pins))
        pre = ("--pre",) if wanted.pre else ()
        asked = ("--constraint", str(new / "pins.txt"), *pre)
        with _requirement_file(wanted) as file:
            self._pip(wanted, "--prefix", str(new), *asked, "--requirement", file)

    def _pip(self, wanted: Requirement, *arguments: str) -> None:
        assert self.folder is not None
        with tempfile.TemporaryDirectory() as about:
            write_amended(Path(about), self.folder)
            self._run_pip(wanted, [about, str(self.folder)], *arguments)

    def _run_pip(self, wanted: Requirement, first: list[str], *arguments: str) -> None:
        command = [sys.executable, "-P", "-m", "pip", "install", *_QUIET, *_PLAIN, *arguments]
        environ = inherited_environment()
        # a repository that wants a password must fail, and what is in the folder counts as there
        path = [*first, *environ.get("PYTHONPATH", "").split(os.pathsep)]
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
            raise PluginFailedError(msg) from None
        if done.returncode != 0:
            said = _last_lines(done.stdout + done.stderr)
            raise PluginFailedError(f"installing {shown(wanted.text)} failed: {said}")


@contextmanager
def _requirement_file(wanted: Requirement) -> Iterator[str]:
    """A file that only this user can read, since a URL may hold a password.

    pip's arguments can be read by every user of the machine.
    """
    with tempfile.NamedTemporaryFile("w", suffix=".txt", encoding="utf-8") as file:
        file.write(f"{wanted.without_credentials}\n")
        file.flush()
        yield file.name


def _pins(loose: Path | None = None) -> list[str]:
    """Every package that can be imported now, in exactly this version; so not in a `loose` folder.

    There only what was asked for is pinned, and what it needs may be any version that it takes.
    """
    path = [each for each in sys.path if each != str(loose)]
    dists = metadata.distributions(path=path)
    found = {dist.name: dist.version for dist in dists if dist.name}
    pins = [f"{name}=={version}" for name, version in sorted(found.items())]
    return pins + (needs_in(loose) if loose else [])


def _learn_secrets(wanted: Requirement) -> None:
    parts = urlsplit(wanted.url or "")
    keep_secret(*(part for part in (parts.username, parts.password) if part))


def _last_lines(output: str) -> str:
    """What pip said last, in one line."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    return without_secrets(shown("; ".join(lines[-_LAST_LINES:]))) or "pip said nothing"
