"""Checking the plugins and connections of a configuration, in a process of its own.

A start imports the modules and checks their options. The process of a trial does the same, so a
module of a file that is only compared runs nothing in the service.
"""

import importlib
import sys
from collections.abc import Iterable, Mapping
from importlib import metadata
from importlib.machinery import PathFinder
from typing import Any, Literal

from core.errors import ConfigurationError, PluginFailedError
from core.observability.redaction import KNOWN
from pipeline.config.broken import disabled
from pipeline.config.model import PipelineConfig, PluginSpec
from pipeline.config.reports import broken_notes
from pipeline.live_config import keep_secrets
from pipeline.operator.configuration_diff import used_modules
from pipeline.operator.trial.guard import REFUSED
from pipeline.operator.trial.messages import MOST_FOUND, Checked, CheckSetup
from pipeline.plugins import loader
from pipeline.plugins.importer import to_install
from pipeline.plugins.installer import Installer
from pipeline.plugins.missing import shown
from pipeline.plugins.modules_folder import differs, is_ours
from pipeline.plugins.requirement import inexact, read
from schemas.operator.configuration import ModuleState

type State = Literal["present", "other version", "would be installed", "missing"]


def checked(setup: CheckSetup) -> Checked:
    """The problems and notes of plugins and connections, as a start would tell them."""
    keep_secrets(setup.config)
    installer = Installer(setup.modules, allowed=False)  # what is there can be imported
    found = Checked()
    absent = set[str]()
    for spec, places in used_modules(setup.config).items():
        state = _state(spec, places, setup.settings)
        if not (is_ours(spec.module) and state.state == "present" and not spec.pip_name):
            found.modules.append(state)
        if state.state == "would be installed":
            absent.update(places)
            what = "its options; the module is not here"
            found.not_checked += [f"{place}: {what}" for place in places]
    try:
        plugins = loader.load(setup.config, installer)
        found.notes += plugins.notes
        found.notes += broken_notes(disabled(setup.config, plugins.broken))
    except ConfigurationError as error:
        _sort(error.problems, absent, found)
    _check_connections(setup.config, found)
    return _bounded(found)


def _sort(problems: Iterable[str], absent: set[str], found: Checked) -> None:
    """Tell real problems from what cannot be told here.

    A module that a start would install is not there yet, and one that needs the network while it
    is imported does not get it here.
    """
    for problem in problems:
        if problem.partition(": ")[0] not in absent:
            (found.not_checked if REFUSED in problem else found.problems).append(problem)


def _check_connections(config: PipelineConfig, found: Checked) -> None:
    if not config.connections and not config.connection_plugins:
        return
    # flowlang's engine takes 0.1 s to import, which only a configuration with connections needs
    from pipeline.connections.flows import findings_of  # noqa: PLC0415

    findings = findings_of(config)
    found.problems += [KNOWN.sentence(each) for each in findings.problems]
    found.notes += [KNOWN.sentence(each) for each in findings.notes]


def _bounded(found: Checked) -> Checked:
    for texts in (found.problems, found.notes, found.not_checked, found.modules):
        del texts[MOST_FOUND:]
    return found


def _state(spec: PluginSpec, places: list[str], settings: Mapping[str, Any]) -> ModuleState:
    """Whether a module is there, without importing it."""
    state: State
    if is_present(spec.module):
        detail = _difference(spec)
        state = "other version" if detail else "present"
    else:
        pip_name = to_install(spec, spec.module.partition(".")[0])
        detail = _why_not(pip_name, settings)
        state = "missing" if detail else "would be installed"
    return ModuleState(
        module=spec.module,
        pip_name=spec.pip_name and shown(spec.pip_name),
        used_by=places[:MOST_FOUND],
        state=state,
        detail=KNOWN.sentence(detail)[:500],
    )


def is_present(module: str) -> bool:
    """Whether a module can be found; no package above it is imported, except for the service's."""
    path: Any = None
    names = module.removeprefix("server.").split(".")
    for place in range(1, len(names) + 1):
        name = ".".join(names[:place])
        if place == 1 and (is_ours(name) or name in sys.builtin_module_names):
            path = getattr(importlib.import_module(name), "__path__", None)
            continue
        try:
            spec = PathFinder.find_spec(name, path)
        except (ValueError, ImportError, OSError):
            return False
        if spec is None:
            return False
        path = spec.submodule_search_locations
    return True


def _difference(spec: PluginSpec) -> str:
    """How the installed package differs from the configured one; empty if it does not."""
    try:
        wanted = read(spec.pip_name) if spec.pip_name else None
        dist = metadata.distribution(wanted.name) if wanted and wanted.name else None
    except (PluginFailedError, metadata.PackageNotFoundError):
        return ""  # an invalid name is reported by the loader
    return (differs(dist, wanted) or "") if dist and wanted else ""


def _why_not(pip_name: str | None, settings: Mapping[str, Any]) -> str:
    """Why a start would not install a missing module; empty if it would."""
    if pip_name is None:
        return "no package is named for it (pip_name)"
    if not settings.get("dynamic_install"):
        return "nothing is installed here (DYNAMIC_INSTALL)"
    try:
        advice = inexact(read(pip_name))
    except PluginFailedError as error:
        return str(error)
    is_exact = settings.get("environment") == "production" and settings["dynamic_install"] != "any"
    return f"not installed in production: {advice}" if advice and is_exact else ""
