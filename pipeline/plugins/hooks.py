"""Hooks: functions of a module that are called when vCons come in, are run, and are deleted.

The functions are vcon-server's, of its modules `hook`, `after_link_hook` and `vcon_hook`. There an
operator replaces those files; here `hooks` in config.yml names modules. Without that section, a
module of one of the three names on the path is used, as it is there.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from importlib.machinery import PathFinder
from types import ModuleType

from core.errors import PluginFailedError
from pipeline.config.model import HOOK_SECONDS, HookSpec, PipelineConfig, limit_of
from pipeline.plugins.contract import Function, argument_problem, is_async

FUNCTIONS: Mapping[str, tuple[str, ...]] = {
    "before_processing": ("vcon_id", "chain_details", "context"),
    "after_processing": ("vcon_id", "chain_details", "context", "error"),
    "after_link": (
        *("vcon_id", "link_name", "link_module", "link_opts", "link_hook_config"),
        *("status", "error", "parties"),
    ),
    "on_vcon_created": ("vcon_id", "vcon_dict", "ingress_lists"),
    "on_vcon_deleted": ("vcon_id",),
}
"""The functions that a hook may have, with their positional arguments."""
OUTSIDE_RUNS = ("on_vcon_created", "on_vcon_deleted")
"""Those that are called where no purpose is evaluated."""
ON_THE_PATH = ("hook", "after_link_hook", "vcon_hook")


@dataclass(frozen=True, slots=True)
class LoadedHook:
    """One function of a hook. `fails`: its failure fails the attempt, which is repeated."""

    name: str
    call: Function
    is_async: bool
    seconds: float | None
    fails: bool = False
    requires: str | None = None
    """As in `PluginSpec`."""


type Found = tuple[LoadedHook, ...]


@dataclass(frozen=True, slots=True)
class Hooks:
    """The hooks of a configuration, by function, in the order of the file."""

    before_processing: Found = ()
    after_processing: Found = ()
    after_link: Found = ()
    on_vcon_created: Found = ()
    on_vcon_deleted: Found = ()


NO_HOOKS = Hooks()


@dataclass(slots=True)
class HookLoader:
    """Collects the functions of modules."""

    found: dict[str, list[LoadedHook]] = field(default_factory=dict)
    are_named: bool = True
    """False: found on the path, where a module of that name may be for something else."""
    passed_over: list[str] = field(default_factory=list)

    def take(self, module: ModuleType, spec: HookSpec) -> None:
        """Add the functions of one module.

        Raises:
            PluginFailedError: it has none, or one cannot be called with the arguments.
        """
        offered = {name: getattr(module, name, None) for name in FUNCTIONS}
        functions = {name: each for name, each in offered.items() if each is not None}
        if not functions and not self.are_named:
            self.passed_over.append(spec.module)
            return
        if not functions:
            raise PluginFailedError(f"has none of the functions {', '.join(FUNCTIONS)}")
        problems = [
            problem
            for name, each in functions.items()
            if (problem := argument_problem(name, each, FUNCTIONS[name]))
        ]
        outside = [name for name in OUTSIDE_RUNS if name in functions]
        if spec.requires is not None and outside:
            problems.append(
                f"requires: {outside[0]} is called outside of runs, where no purpose is evaluated;"
                " put it into a module of its own, without requires"
            )
        if problems:
            raise PluginFailedError("; ".join(problems))
        seconds = limit_of(spec.timeout, HOOK_SECONDS)
        for name, each in functions.items():
            how = is_async(each), seconds, spec.on_error == "fail", spec.requires
            hook = LoadedHook(spec.name, each, *how)
            self.found.setdefault(name, []).append(hook)

    @property
    def hooks(self) -> Hooks:
        """What has been collected."""
        return Hooks(**{name: tuple(each) for name, each in self.found.items()})


def hooks_wanted(config: PipelineConfig) -> list[HookSpec]:
    """The hooks to load: those of the file, else the replaced modules on the path."""
    if config.hooks is not None:
        return list(config.hooks.values())
    return [HookSpec(name, name) for name in _replaced()]


def notes_on_hooks(config: PipelineConfig, loader: HookLoader) -> list[str]:
    """Which modules on the path are used as hooks, or why one is not, and what no basis gates."""
    ungated = []
    if config.law is not None and config.law.basis is not None:
        text = "on_vcon_created gets every vCon that comes in, also one that the law withholds"
        ungated = [f"hooks.{each.name}: {text}" for each in loader.hooks.on_vcon_created]
    if config.hooks is None:
        text = "the module {0!r} on the path is used as a hook; name it in `hooks`, or hooks: {{}}"
        names = [name for name in _replaced() if name not in loader.passed_over]
        return [*ungated, *(f"hooks: {text.format(name)}" for name in names)]
    named = {spec.module for spec in config.hooks.values()}
    return ungated + [
        f"hooks: the module {name!r} is on the path, and not used: this section does not name it"
        for name in _replaced()
        if name not in named
    ]


def _replaced() -> Iterable[str]:
    """The names of vcon-server's hooks that the path has a module for; nothing is imported."""
    specs = ((name, PathFinder.find_spec(name)) for name in ON_THE_PATH)
    # without a loader it is a folder of that name, which is no module
    return [name for name, spec in specs if spec is not None and spec.loader is not None]
