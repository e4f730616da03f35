"""Installing the packages that a configuration names: pip in a subprocess, into MODULES_DIR.

The folder is the last entry of `sys.path`, and all packages that can be imported already are
pinned, so a plugin's package never brings a second `redis` or `vcon`.

pip installs into a temporary folder inside. Its content is moved when complete, metadata last, so a
process that dies in between leaves nothing that looks like an installed package. A package that was
installed for another specification than the configured one is hidden from pip, and its files are
deleted when the new ones are complete. A lock file makes processes that share the folder take
turns.

pip reads the first metadata that it finds of a package. The `vcon` package names dependencies that
the service runs without (requirements/excluded.in), and pip would install them with every plugin
that needs `vcon`. So pip is given copies of the metadata without them (`write_amended`); a plugin
that names one of them itself still gets it.
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
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path
from pkgutil import extend_path
from urllib.parse import urlsplit

from packaging.utils import canonicalize_name

from core.environment import inherited_environment
from core.errors import PluginFailedError
from core.observability.redaction import KNOWN
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

log = logging.getLogger(__name__)

SECONDS = 300
"""The time limit of one call of pip."""
_NEED = "Requires-Dist:"
_LAST_LINES = 12  # enough for pip's report of conflicting versions
_NEW = ".new-"
_QUIET = ("--no-input", "--disable-pip-version-check", "--retries", "2", "--timeout", "15")
_OVERRIDDEN = {"PIP_USER": "0", "PIP_REQUIRE_VIRTUALENV": "0"}  # they win over pip.conf
_PLAIN = ("--progress-bar", "off", "--no-compile", "--no-warn-script-location")


def write_amended(place: Path, modules: Path) -> None:
    """Write copies of metadata below `place`, for packages outside `modules` that lack a need."""
    installed = {canonicalize_name(each.name) for each in metadata.distributions() if each.name}
    own = [each for each in sys.path if each != str(modules)]
    for dist in metadata.distributions(path=own):
        text = dist.read_text("METADATA") or ""
        if (amended := without_absent(text, installed)) != text:
            about = place / f"{dist.name}-{dist.version}.dist-info"
            about.mkdir(exist_ok=True)
            (about / "METADATA").write_text(amended, encoding="utf-8")


def without_absent(text: str, installed: Collection[str]) -> str:
    """A METADATA file without the requirements that apply here and are not installed."""
    head, blank, rest = text.partition("\n\n")
    lines = [line for line in head.split("\n") if not _is_absent(line, installed)]
    return "\n".join(lines) + blank + rest


def _is_absent(line: str, installed: Collection[str]) -> bool:
    if not line.startswith(_NEED):
        return False
    from packaging import requirements  # noqa: PLC0415 -- most processes install nothing

    try:
        need = requirements.Requirement(line.removeprefix(_NEED).strip())
    except requirements.InvalidRequirement:  # pip refuses it
        return False
    holds = need.marker is None or need.marker.evaluate({"extra": ""})
    return holds and canonicalize_name(need.name) not in installed


class Installer:
    """Installs into a subfolder of `folder` for this version of Python, if given and allowed."""

    def __init__(
        self,
        folder: Path | None,
        *,
        allowed: bool = True,
        upgrade: bool = True,
        exact: bool = False,
    ) -> None:
        """Make packages that are already installed there importable, also where not `allowed`.

        `upgrade`: packages for another specification may be replaced. `exact`: only one version,
        one commit or a file with its digest may be installed.
        """
        self._exact = exact
        self.folder = folder and folder.absolute() / str(sys.implementation.cache_tag)
        self.allowed = allowed and self.folder is not None
        self._upgrade = upgrade and self.allowed
        if self.folder is not None and self.folder.is_dir():
            self._open(self.folder)

    def install(self, wanted: Requirement, is_there: Callable[[], bool]) -> None:
        """Install a package and its requirements, unless another process does so meanwhile.

        `is_there` is called under the lock and returns whether the module can be imported.

        Raises:
            PluginFailedError: with the end of pip's output, without tokens, or with the reason
                why pip is not called.
        """
        assert self.folder is not None
        self._check_exact(wanted)
        _redact_credentials(wanted)
        with self._locked(self.folder):
            self._open(self.folder)
            if not is_there():
                self._install([wanted], self.folder, [])
                self._open(self.folder)

    def install_together(
        self, wanted: Collection[Requirement], is_there: Callable[[Requirement], bool]
    ) -> None:
        """Install several packages with one call of pip, since each call takes about a second.

        Only those that name their package, and need no credentials or `--pre`. If the call fails,
        none of them is installed: `install` does it for each, and tells which one fails.
        """
        together = [each for each in wanted if self._can_share(each)]
        if not self.allowed or self.folder is None or len(together) < 2:
            return
        for each in together:  # a file's address may have credentials
            _redact_credentials(each)
        try:
            with self._locked(self.folder):
                self._open(self.folder)
                if len(missing := [each for each in together if not is_there(each)]) > 1:
                    self._install(missing, self.folder, [])
                    self._open(self.folder)
        except PluginFailedError as error:
            log.info("modules not installed together", extra={"error": str(error)})

    def _can_share(self, wanted: Requirement) -> bool:
        is_refused = self._exact and inexact(wanted)
        return not (wanted.name is None or wanted.credentials or wanted.pre or is_refused)

    def bring_up_to_date(self, module: str, wanted: Requirement, current: Collection[str]) -> None:
        """Replace the package of a module that was installed for another specification, if allowed.

        `current` are the hashes of all specifications of the configuration. Modules that were
        imported before are unchanged until a restart.

        Raises:
            PluginFailedError: pip failed, and the installed package does not fit `wanted`; with
                the end of pip's output, without tokens. If it fits, the failure is logged.
        """
        if not self._upgrade or self.folder is None or not self.folder.is_dir():
            return
        if not is_hiding(self.folder) and self._other(module, wanted, current) is None:
            return
        _redact_credentials(wanted)
        with self._locked(self.folder):
            if (other := self._other(module, wanted, current)) is not None:
                self._replace(other, wanted, self.folder)
                self._open(self.folder)

    def _other(
        self, module: str, wanted: Requirement, current: Collection[str]
    ) -> metadata.Distribution | None:
        """The package in the folder that was installed for another specification, if any."""
        assert self.folder is not None
        names = [*packages_of(self.folder, module), *([wanted.name] if wanted.name else [])]
        found = (installed_in(self.folder, name) for name in names)
        known = (dist for dist in found if dist is not None)
        return next((dist for dist in known if is_for_another(dist, wanted, current)), None)

    def _replace(self, other: metadata.Distribution, wanted: Requirement, folder: Path) -> None:
        try:
            self._check_exact(wanted)
            self._install([wanted], folder, [other])
        except PluginFailedError as error:
            if differs(other, wanted):
                raise
            fields = {"package": shown(wanted.text), "error": str(error)}
            log.warning("module not upgraded", extra=fields)

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
        """Make modules in the folder importable, also inside the service's own packages."""
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
        self, wanted: Sequence[Requirement], folder: Path, replaced: list[metadata.Distribution]
    ) -> None:
        began = time.monotonic()
        fields = {"package": _named(wanted)}
        log.info("installing module", extra=fields)
        for left in folder.glob(f"{_NEW}*"):  # from a process that died
            shutil.rmtree(left, ignore_errors=True)
        with tempfile.TemporaryDirectory(prefix=_NEW, dir=folder) as new:
            with hidden(replaced):
                self._fetch(wanted, Path(new), replacing=bool(replaced))
            made = site_packages(Path(new))
            packages = [name for one in made for name in take_in(one, folder, wanted, replaced)]
        seconds = round(time.monotonic() - began, 1)
        log.info("module installed", extra={**fields, "packages": packages, "seconds": seconds})

    def _fetch(self, wanted: Sequence[Requirement], new: Path, *, replacing: bool) -> None:
        """Have pip install into `new`; when replacing, requirements in the folder may change."""
        pins = _pins(self.folder) if replacing else _pins()
        (new / "pins.txt").write_text("\n".join(pins))
        pre = ("--pre",) if any(each.pre for each in wanted) else ()
        asked = ("--constraint", str(new / "pins.txt"), *pre)
        with _requirement_file(wanted) as file:
            self._pip(wanted, "--prefix", str(new), *asked, "--requirement", file)

    def _pip(self, wanted: Sequence[Requirement], *arguments: str) -> None:
        assert self.folder is not None
        with tempfile.TemporaryDirectory() as about:
            write_amended(Path(about), self.folder)
            self._run_pip(wanted, [about, str(self.folder)], *arguments)

    def _run_pip(self, wanted: Sequence[Requirement], first: list[str], *arguments: str) -> None:
        command = [sys.executable, "-P", "-m", "pip", "install", *_QUIET, *_PLAIN, *arguments]
        environ = inherited_environment()
        # Git must fail instead of asking for a password; pip must see the folder's packages.
        path = [*first, *environ.get("PYTHONPATH", "").split(os.pathsep)]
        more = {"GIT_TERMINAL_PROMPT": "0", "PYTHONPATH": os.pathsep.join(filter(None, path))}
        more |= _OVERRIDDEN
        for each in wanted:  # of several, none has credentials
            more |= git_variables(each, environ)
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
            msg = f"installing {_named(wanted)} took more than {SECONDS} s"
            raise PluginFailedError(msg) from None
        if done.returncode != 0:
            output = _last_lines(done.stdout + done.stderr)
            raise PluginFailedError(f"installing {_named(wanted)} failed: {output}")


@contextmanager
def _requirement_file(wanted: Sequence[Requirement]) -> Iterator[str]:
    """A requirement file for pip, readable by this user only, since a URL may contain a password.

    Every user of the machine can read pip's arguments.
    """
    with tempfile.NamedTemporaryFile("w", suffix=".txt", encoding="utf-8") as file:
        file.writelines(f"{each.without_credentials}\n" for each in wanted)
        file.flush()
        yield file.name


def _named(wanted: Sequence[Requirement]) -> str:
    """The requirements as messages show them."""
    return ", ".join(shown(each.text) for each in wanted)


def _pins(loose: Path | None = None) -> list[str]:
    """Pins of all packages that can be imported, in their versions.

    In the folder `loose` only requested packages are pinned; their requirements may change within
    the versions that they accept.
    """
    path = [each for each in sys.path if each != str(loose)]
    dists = metadata.distributions(path=path)
    found = {dist.name: dist.version for dist in dists if dist.name}
    pins = [f"{name}=={version}" for name, version in sorted(found.items())]
    return pins + (needs_in(loose) if loose else [])


def _redact_credentials(wanted: Requirement) -> None:
    parts = urlsplit(wanted.url or "")
    KNOWN.learn(part for part in (parts.username, parts.password) if part)


def _last_lines(output: str) -> str:
    """The end of pip's output, in one line, without secrets."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    return KNOWN.sentence(shown("; ".join(lines[-_LAST_LINES:]))) or "pip printed nothing"
