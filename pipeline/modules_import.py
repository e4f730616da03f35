"""Importing the modules that a configuration names, and installing those that are not there."""

import importlib.util
import json
import logging
import sys
from importlib import metadata
from pathlib import Path
from types import ModuleType

from core.errors import GuestError
from pipeline.config import GuestSpec
from pipeline.installer import Installer
from pipeline.modules_missing import explain_missing
from pipeline.requirement import Requirement, difference, is_ours, read, to_install

log = logging.getLogger(__name__)


class Modules:
    """The modules of one load: each is imported, and missed, once."""

    def __init__(self, installer: Installer) -> None:
        """`installer` brings what is missing, if it may."""
        self._installer = installer
        self._known: dict[tuple[str, str | None], ModuleType | GuestError] = {}

    def get(self, spec: GuestSpec) -> ModuleType:
        """The module of a guest.

        Raises:
            GuestError: why there is none.
        """
        key = (spec.module, spec.pip_name)  # two may want one module in different versions
        if key not in self._known:
            self._known[key] = self._found(spec)
        outcome = self._known[key]
        if isinstance(outcome, GuestError):
            raise outcome
        return outcome

    def _found(self, spec: GuestSpec) -> ModuleType | GuestError:
        try:
            wanted = read(spec.pip_name) if spec.pip_name else None
            module = self._imported(spec)
        except GuestError as error:
            return error
        except (Exception, SystemExit) as error:  # noqa: BLE001 -- a guest's module may do anything
            reason = f"{type(error).__name__}: {error}".partition("\n")[0]
            return GuestError(f"importing {spec.module} fails: {reason}")
        if wanted or not is_ours(spec.module):
            _tell_version(spec.module, wanted)
        return module

    def _imported(self, spec: GuestSpec) -> ModuleType:
        try:
            return importlib.import_module(spec.module)
        except ModuleNotFoundError as error:
            pip_name = to_install(spec, error.name)
            if pip_name is None:
                raise GuestError(explain_missing(spec, error)) from None
            if not self._installer.allowed:
                why = "nothing is installed here (DYNAMIC_INSTALL)"
                raise GuestError(f"{explain_missing(spec, error)}; {why}") from None
        self._installer.install(read(pip_name), lambda: _is_there(spec.module))
        try:
            return importlib.import_module(spec.module)
        except ModuleNotFoundError as error:
            raise GuestError(f"{explain_missing(spec, error)}, though that was installed") from None


def _is_there(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:
        return False


def _tell_version(module: str, wanted: Requirement | None) -> None:
    dist = _distribution(module, wanted)
    if dist is None:
        log.info("module imported", extra={"guest_module": module})
        return
    about = {"guest_module": module, "package": dist.name, "version": dist.version}
    log.info("module imported", extra=about)
    origin = json.loads(dist.read_text("direct_url.json") or "{}")
    if wanted and (other := difference(wanted, dist.name, dist.version, origin)):
        hint = "remove it, or empty MODULES_DIR, to have it installed anew"
        log.warning("module in another version", extra={**about, "reason": other, "hint": hint})


def _is_installed(root: str) -> bool:
    """Whether it lies beside records of packages; to look through all of them takes a second."""
    module = sys.modules.get(root)
    places = list(getattr(module, "__path__", ())) or [getattr(module, "__file__", None)]
    return any(any(Path(place).parent.glob("*.dist-info")) for place in places if place)


def _distribution(module: str, wanted: Requirement | None) -> metadata.Distribution | None:
    names = [wanted.name] if wanted and wanted.name else []
    root = module.partition(".")[0]
    if not is_ours(root) and _is_installed(root):  # many have a part of a room of ours
        names += metadata.packages_distributions().get(root, [])
    for name in names:
        try:
            return metadata.distribution(name)
        except metadata.PackageNotFoundError:
            continue
    return None
