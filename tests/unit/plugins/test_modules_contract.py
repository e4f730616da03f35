"""What makes a module a plugin: judged without importing anything."""

import sys
from collections.abc import AsyncIterator, Iterator
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import links
from core.errors import PluginFailedError
from pipeline.config.parser import PluginSpec
from pipeline.plugins.contract import LINK, STORAGE, TRACER, Contract, is_pure, plugin_in
from pipeline.plugins.loader import NOTHING, _Loader


def module_with(**attributes: Any) -> ModuleType:
    """A module of that content; classes count as defined in it."""
    module = ModuleType("plugins.sample")
    for thing in attributes.values():
        if isinstance(thing, type):
            thing.__module__ = "plugins.sample"
    vars(module).update(attributes)
    return module


def refusal(contract: Contract, **attributes: Any) -> str:
    """Why a module of that content is no plugin."""
    with pytest.raises(PluginFailedError) as refused:
        plugin_in(module_with(**attributes), contract)
    return str(refused.value)


def run(vcon_uuid: str, link_name: str, opts: dict[str, Any] = {"x": 1}) -> str:  # noqa: B006 -- as plugins write it
    """A link as most are written."""
    return f"{vcon_uuid} {link_name} {opts}"


def save(vcon_uuid: str, opts: dict[str, Any]) -> None:
    """A storage's one needed function."""


async def async_save(vcon_uuid: str, opts: dict[str, Any]) -> None:
    """The same, to be awaited."""


def test_a_link_module() -> None:
    """A module with `run` is a link, its `default_options` are found."""
    plugin = plugin_in(module_with(run=run, default_options={"x": 1}), LINK)
    assert plugin.functions == {"run": run}
    assert plugin.default_options == {"x": 1}
    assert not plugin.is_async


@pytest.mark.parametrize("attributes", [{}, {"default_options": None}])
def test_default_options_may_be_absent(attributes: dict[str, Any]) -> None:
    """Without default options there are none."""
    assert plugin_in(module_with(run=run, **attributes), LINK).default_options == {}


def test_default_options_are_a_mapping() -> None:
    """Default options of another kind are refused."""
    assert refusal(LINK, run=run, default_options=["x"]) == "default_options is not a mapping"


@pytest.mark.parametrize(
    ("contract", "call"),
    [
        (LINK, "run(vcon_uuid, link_name, opts)"),
        (STORAGE, "save(vcon_uuid, opts)"),
        (TRACER, "run(in_vcon_uuid, out_vcon_uuid, tracer_name, links, link_index, options)"),
    ],
)
def test_the_needed_function_is_named(contract: Contract, call: str) -> None:
    """The error for a module without the needed function names it."""
    assert refusal(contract) == f"has no {call}"


@pytest.mark.parametrize(
    "function",
    [
        lambda vcon_uuid, link_name, opts: None,
        lambda a, b, c: None,
        lambda a, b, c=None, d=4: None,
        lambda *arguments: None,
        lambda a, *rest, key=1, **more: None,
        partial(lambda first, a, b, c: None, 1),
        max,
    ],
)
def test_signatures_that_fit(function: Any) -> None:
    """A function of three positional arguments of any names is a link."""
    assert plugin_in(module_with(run=function), LINK).functions["run"] is function


@pytest.mark.parametrize(
    ("function", "defined"),
    [
        (lambda: None, "run()"),
        (lambda vcon_uuid, opts: None, "run(vcon_uuid, opts)"),
        (lambda a, b, c, d: None, "run(a, b, c, d)"),
        (lambda a, b, c, *, key: None, "run(a, b, c, key)"),
        (lambda a, b, *, c: None, "run(a, b, c)"),
    ],
)
def test_signatures_that_do_not_fit(function: Any, defined: str) -> None:
    """A function that cannot be called so is refused, with what it is and what it should be."""
    assert refusal(LINK, run=function) == (
        f"is defined as {defined}, but is called as run(vcon_uuid, link_name, opts)"
    )


def yields(vcon_uuid: str, opts: Any) -> Iterator[str]:
    """A storage whose author has left a `yield` in it."""
    yield vcon_uuid


async def yields_async(vcon_uuid: str, opts: Any) -> AsyncIterator[str]:
    """The same, async."""
    yield vcon_uuid


class Yields:
    """The same, as an object that is called."""

    def __call__(self, vcon_uuid: str, opts: Any) -> Iterator[str]:
        """Yield instead of saving."""
        yield vcon_uuid


@pytest.mark.parametrize("function", [yields, yields_async, Yields()])
def test_a_generator_is_refused(function: Any) -> None:
    """A call of it would run nothing, and a storage count as one that has the vCon."""
    remedy = "write it without `yield`"
    assert refusal(STORAGE, save=function) == (
        f"save is a generator, of which a call runs nothing: {remedy}"
    )


def test_defaults_in_a_signature_are_not_shown() -> None:
    """A message about a signature holds no default values: they may be passwords."""
    assert "s3cret" not in refusal(LINK, run=lambda opts={"password": "s3cret"}: None)


def test_run_is_a_function() -> None:
    """A `run` that cannot be called is refused."""
    assert refusal(LINK, run="fast") == "run is not a function"


def test_a_storage_needs_only_save() -> None:
    """`get`, `delete` and `close` may be absent."""
    assert plugin_in(module_with(save=save), STORAGE).functions == {"save": save}


def test_a_whole_storage() -> None:
    """All functions of a storage are found."""
    module = module_with(save=save, get=save, delete=save, close=lambda: None, exists=save)
    assert list(plugin_in(module, STORAGE).functions) == ["save", "get", "delete", "close"]


def test_every_wrong_function_is_reported() -> None:
    """One wrong function does not hide another, nor one that is missing."""
    problems = refusal(STORAGE, get=lambda: None, delete=3).split("; ")
    assert [problem.partition(",")[0] for problem in problems] == [
        "is defined as get()",
        "delete is not a function",
        "has no save(vcon_uuid",
    ]


def test_a_close_that_is_meant_otherwise_is_left_alone() -> None:
    """A module may have a `close` with arguments of its own; it is not ours to call."""
    module = module_with(save=save, close=lambda connection: None)
    assert "close" not in plugin_in(module, STORAGE).functions


def test_async_functions() -> None:
    """A plugin whose functions are `async def` says so."""
    assert plugin_in(module_with(save=async_save, get=async_save), STORAGE).is_async


def test_async_objects() -> None:
    """An object with an `async def __call__` is async too."""

    class Save:
        async def __call__(self, vcon_uuid: str, opts: dict[str, Any]) -> None: ...

    assert plugin_in(module_with(save=Save()), STORAGE).is_async


def test_async_and_other_functions_do_not_mix() -> None:
    """One plugin is called in one way, so a mixture is refused."""
    assert refusal(STORAGE, save=async_save, get=save, delete=async_save) == (
        "make all functions async or none: save, delete is, get not"
    )


def test_a_class() -> None:
    """A module with one class that has the methods is a plugin; the class is constructed."""

    class Tagger:
        def __init__(self) -> None:
            self.options = {"x": 1}

        @property
        def default_options(self) -> dict[str, int]:
            return self.options

        async def run(self, vcon_uuid: str, link_name: str, opts: dict[str, Any]) -> str:
            return vcon_uuid

    plugin = plugin_in(module_with(Tagger=Tagger, Same=Tagger), LINK)
    assert isinstance(plugin.functions["run"].__self__, Tagger)
    assert plugin.default_options == {"x": 1}
    assert plugin.is_async


def test_the_module_goes_before_its_classes() -> None:
    """With a `run` of the module's own, its classes are not looked at."""

    class Runner:
        run = None

    assert plugin_in(module_with(run=run, Runner=Runner), LINK).functions == {"run": run}


def test_default_options_beside_a_class() -> None:
    """A class without default options has those of its module."""

    class Tagger:
        def run(self, vcon_uuid: str, link_name: str, opts: dict[str, Any]) -> None: ...

    plugin = plugin_in(module_with(Tagger=Tagger, default_options={"x": 1}), LINK)
    assert plugin.default_options == {"x": 1}


def test_several_classes() -> None:
    """Two classes that would do are refused by name."""
    classes = {name: type(name, (), {"run": run}) for name in ("B", "A")}
    assert refusal(LINK, **classes) == "has several classes with run, only one may: A, B"


def test_an_imported_class_does_not_count() -> None:
    """A class from elsewhere that happens to have the method is not the plugin."""
    module = module_with()
    vars(module)["Imported"] = type("Imported", (), {"run": run, "__module__": "plugins.sampled"})
    with pytest.raises(PluginFailedError, match="has no run"):
        plugin_in(module, LINK)


def test_a_class_that_cannot_be_constructed() -> None:
    """A class that wants arguments, or fails, is refused with the reason."""

    class Tagger:
        def __init__(self) -> None:
            raise ValueError("no model here")

        run = run

    assert refusal(LINK, Tagger=Tagger) == (
        "Tagger() cannot be constructed: ValueError: no model here"
    )


def test_a_method_without_self_does_not_fit() -> None:
    """Methods are checked as they are called, bound to their object."""

    class Tagger:
        run = run

    assert refusal(LINK, Tagger=Tagger) == (
        "is defined as run(link_name, opts), but is called as run(vcon_uuid, link_name, opts)"
    )


@pytest.mark.parametrize(
    ("declared", "found"),
    [
        (True, True),
        (lambda options: options["seed"] is not None, True),
        (lambda options: options["seed"] is None, False),
        (lambda options: options["absent"], False),
        (lambda options: sys.exit(0), False),
        (lambda options: 1, False),
        ("yes", False),
        (1, False),
        (None, False),
    ],
)
def test_a_link_is_pure_only_if_it_says_so(declared: object, found: bool) -> None:
    """`pure` is True, or a function of the options that returns True; nothing else counts."""
    plugin = plugin_in(module_with(run=run, pure=declared), LINK)
    assert is_pure(plugin.pure, {"seed": 7}) is found


def test_a_link_is_not_pure_by_itself() -> None:
    """Without the declaration a trial does not call it."""
    assert not is_pure(plugin_in(module_with(run=run), LINK).pure, {})


PURE = {"expire_vcon": {}, "jq_link": {}, "tag": {}, "sampler": {"method": "modulo", "value": 2}}
"""The built-in links that a trial may call, with options with which they declare it."""


def test_the_built_in_links_that_are_pure() -> None:
    """Those that use the network, other keys or chance are not among them."""
    modules = {each.stem: each for each in Path(links.__path__[0]).glob("*.py")}
    assert {name for name, file in modules.items() if "\npure = " in file.read_text()} | {
        name for name, file in modules.items() if "\ndef pure(" in file.read_text()
    } == PURE.keys()
    for name, options in PURE.items():
        spec = PluginSpec(name, f"links.{name}", options=options)
        assert _Loader(NOTHING).link(spec).pure, name


@pytest.mark.parametrize(
    ("options", "found"),
    [
        ({}, False),
        ({"seed": 7}, True),
        ({"method": "rate", "seed": "x"}, True),
        ({"method": "time_based", "seed": 7, "value": 2}, False),
    ],
)
def test_a_sample_that_is_always_the_same_is_pure(options: dict[str, Any], found: bool) -> None:
    """A random decision, and one by the time, differ from what a run would decide."""
    spec = PluginSpec("some", "links.sampler", options=options)
    assert _Loader(NOTHING).link(spec).pure is found


@pytest.mark.parametrize("effect", ["pure", "idempotent", "once", None])
def test_a_plugin_declares_its_effect(effect: str | None) -> None:
    """In its module or its class; "pure" is also what a trial asks for."""

    class Link:
        def run(self, vcon_uuid: str, link_name: str, opts: Any) -> str:
            return vcon_uuid

    for attributes in ({"run": run}, {"Link": Link}):
        plugin = plugin_in(module_with(**attributes, effect=effect), LINK)
        assert plugin.effect == effect
        assert is_pure(plugin.pure, {}) is (effect == "pure")


def test_what_a_trial_asks_for_can_be_declared_apart() -> None:
    """A random link changes nothing outside, but would decide otherwise in a trial."""
    plugin = plugin_in(module_with(run=run, effect="pure", pure=lambda opts: False), LINK)
    assert not is_pure(plugin.pure, {})


@pytest.mark.parametrize("wrong", ["Once", "", "once ", b"once", True, 1, ["once"], {"once": 1}])
def test_a_wrong_effect_is_refused_by_name(wrong: object) -> None:
    """The error has the value, and what it may be."""
    text = refusal(LINK, run=run, effect=wrong)
    assert text == f'effect is {wrong!r}; it may be "pure", "idempotent", "once"'


def test_an_effect_contradicts_pure() -> None:
    """What a trial may call is not seen outside."""
    assert "leave one out" in refusal(LINK, run=run, effect="once", pure=True)


@pytest.mark.parametrize("other", [run, sys])
def test_another_thing_of_that_name_is_no_effect(other: object) -> None:
    """A function or module that is called `effect` says nothing about the plugin."""
    assert plugin_in(module_with(run=run, effect=other), LINK).effect is None


@pytest.mark.parametrize(
    ("name", "value", "meant"),
    [
        ("effects", "once", "effect"),
        ("Effect", "Once", "effect"),
        ("only_trough_lib", True, "only_through_lib"),
        ("NO_DEFAULT_TIMEOUT", True, "no_default_timeout"),
    ],
)
def test_a_name_that_is_nearly_a_declaration(name: str, value: object, meant: str) -> None:
    """A note tells it, of a module and of a class; the plugin is as without it."""
    note = f"module: {name} = {value!r} declares nothing; did you mean {meant!r}?"
    of_class = type("Mine", (), {"run": lambda _self, *_: "", name: value})
    for module in (module_with(run=run, **{name: value}), module_with(Mine=of_class)):
        plugin = plugin_in(module, LINK)
        assert (plugin.notes, plugin.effect) == ((note,), None)


def test_other_names_are_not_taken_for_declarations() -> None:
    """Those with another value, such as the module `lib.effects`, and one beside the right name."""
    others: dict[str, Any] = {"effects": sys, "side_effect": "once", "pure_": "yes"}
    assert plugin_in(module_with(run=run, **others), LINK).notes == ()
    assert plugin_in(module_with(run=run, EFFECT="once", effect="once"), LINK).notes == ()
