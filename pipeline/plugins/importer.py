"""Importing the modules that a configuration names, and installing missing ones."""

import contextlib
import difflib
import importlib.util
import logging
import sys
from collections.abc import Iterable
from importlib import metadata
from pathlib import Path
from types import ModuleType

from core.errors import PluginFailedError, StoppedEarlyError
from core.observability.storable_text import described
from pipeline.config.parser import PluginSpec
from pipeline.plugins.installer import Installer
from pipeline.plugins.missing import explain_missing, plugin_meant
from pipeline.plugins.modules_folder import (
    OURS,
    differs,
    hashed,
    is_ours,
    packages_elsewhere,
    packages_of,
)
from pipeline.plugins.requirement import Requirement, read

log = logging.getLogger(__name__)

_HINT = (
    "restart the service to have it replaced, where DYNAMIC_INSTALL and MODULES_UPGRADE allow it"
)


class Modules:
    """The modules of one load: each is imported once, and its failure is remembered."""

    def __init__(self, installer: Installer, pip_names: Iterable[str] = ()) -> None:
        """`installer` installs missing packages if allowed; `pip_names` are all configured ones."""
        self._installer = installer
        self._current = {each for name in pip_names if (each := _specification(name))}
        self._known: dict[tuple[str, str | None], ModuleType | PluginFailedError] = {}

    def get(self, spec: PluginSpec) -> ModuleType:
        """The module of a plugin.

        Raises:
            PluginFailedError: it is missing, cannot be installed, or fails when imported.
        """
        key = (spec.module, spec.pip_name)  # two entries may want one module in different versions
        if key not in self._known:
            self._known[key] = self._found(spec)
        outcome = self._known[key]
        if isinstance(outcome, PluginFailedError):
            raise outcome
        return outcome

    def install_missing(self, specs: Iterable[PluginSpec]) -> None:
        """Install the packages of modules that are missing, with one call of pip where possible.

        What fails is reported by `get` of the module.
        """
        missing: dict[Requirement, str] = {}
        for spec in specs:
            if spec.pip_name and _is_missing(spec.module):
                with contextlib.suppress(PluginFailedError):
                    missing.setdefault(read(spec.pip_name), spec.module)
        self._installer.install_together(missing, lambda each: not _is_missing(missing[each]))

    def _found(self, spec: PluginSpec) -> ModuleType | PluginFailedError:
        try:
            wanted = read(spec.pip_name) if spec.pip_name else None
            module = self._imported(spec)
        except PluginFailedError as error:
            return error
        except StoppedEarlyError:  # a signal arrived while a module was imported
            raise
        except BaseException as error:  # noqa: BLE001 -- a plugin's module may raise anything
            return PluginFailedError(f"importing {spec.module} fails: {described(error)}")
        if wanted or not is_ours(spec.module):
            self._log_version(spec.module, wanted)
        return module

    def _log_version(self, module: str, wanted: Requirement | None) -> None:
        dist = self._distribution(module, wanted)
        if dist is None:
            log.info("module imported", extra={"plugin_module": module})
            return
        fields = {"plugin_module": module, "package": dist.name, "version": dist.version}
        log.info("module imported", extra=fields)
        if wanted and (other := differs(dist, wanted)):
            error = f"{other}; {_HINT}"
            log.warning("module in another version", extra={**fields, "error": error})

    def _distribution(
        self, module: str, wanted: Requirement | None
    ) -> metadata.Distribution | None:
        names = [wanted.name] if wanted and wanted.name else []
        names += packages_of(self._installer.folder, module)
        root = module.partition(".")[0]
        if not names and not is_ours(root) and _is_installed(root):
            names += packages_elsewhere(root)
        for name in names:
            with contextlib.suppress(metadata.PackageNotFoundError):
                return metadata.distribution(name)
        return None

    def _imported(self, spec: PluginSpec) -> ModuleType:
        if spec.pip_name and spec.module not in sys.modules:
            self._installer.bring_up_to_date(spec.module, read(spec.pip_name), self._current)
        try:
            return importlib.import_module(spec.module)
        except ModuleNotFoundError as error:
            pip_name = to_install(spec, error.name)
            if pip_name is None:
                raise PluginFailedError(explain_missing(spec, error)) from None
            if not self._installer.allowed:
                setting = "nothing is installed here (DYNAMIC_INSTALL)"
                raise PluginFailedError(f"{explain_missing(spec, error)}; {setting}") from None
        self._installer.install(read(pip_name), lambda: _is_there(spec.module))
        try:
            return importlib.import_module(spec.module)
        except ModuleNotFoundError as error:
            raise PluginFailedError(
                f"{explain_missing(spec, error)}, though that was installed"
            ) from None


def to_install(spec: PluginSpec, missing: str | None) -> str | None:
    """The pip name to install after an import that did not find `missing`; None if pip cannot help.

    pip cannot help where the plugin's module is there and imports something that is missing, or
    where the module's name is probably misspelt.
    """
    root, _, inside = spec.module.partition(".")
    if spec.pip_name is not None:
        above = f"{spec.module}.".startswith(f"{missing}.")
        return spec.pip_name if missing == root or (is_ours(root) and above) else None
    mistyped = bool(inside and difflib.get_close_matches(root, OURS, n=1, cutoff=0.75))
    mistyped = mistyped or plugin_meant(spec.module) is not None
    return spec.module if missing == root and not is_ours(root) and not mistyped else None


def _specification(pip_name: str) -> str | None:
    try:
        return hashed(read(pip_name))
    except PluginFailedError:  # reported when the module is loaded
        return None


def _is_missing(module: str) -> bool:
    """Whether nothing of this name is installed; imports no package of others."""
    root = module.partition(".")[0]
    if is_ours(root):
        return not _is_there(module)
    with contextlib.suppress(ValueError):  # one that was imported without a specification
        return root not in sys.modules and importlib.util.find_spec(root) is None
    return False


def _is_there(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:
        return False


def _is_installed(root: str) -> bool:
    """Whether a module lies beside package metadata; reading all metadata takes a second."""
    module = sys.modules.get(root)
    places = list(getattr(module, "__path__", ())) or [getattr(module, "__file__", None)]
    return any(any(Path(place).parent.glob("*.dist-info")) for place in places if place)
