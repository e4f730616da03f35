"""Loading plugins with the real import system, out of files written for each test."""

import importlib
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from core.errors import ConfigurationError
from pipeline.config.parser import PipelineConfig, parse
from pipeline.plugins.loader import load

LINK = "default_options = {'a': 1, 'b': {'deep': 1}}\ndef run(vcon_uuid, link_name, opts): ...\n"
STORAGE = "def save(vcon_uuid, opts): ...\n"
TRACER = "def run(in_, out, name, links, index, options): ...\n"

type Write = Callable[..., None]


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Write]:
    """Writes modules, given as `package__module="source"`, where they can be imported."""
    monkeypatch.syspath_prepend(tmp_path)
    before = set(sys.modules)

    def write_modules(**sources: str) -> None:
        for name, source in sources.items():
            path = tmp_path / Path(*name.split("__")).with_suffix(".py")
            path.parent.mkdir(parents=True, exist_ok=True)
            if path.parent != tmp_path:
                (path.parent / "__init__.py").touch()
            path.write_text(source)

    yield write_modules
    for name in set(sys.modules) - before:
        del sys.modules[name]
    importlib.invalidate_caches()


def config(**changes: Any) -> PipelineConfig:
    """One link, storage and tracer in one chain, with changes given as `section__name=entry`."""
    document: dict[str, Any] = {
        "links": {"tag": {"module": "rooms_links.tag"}},
        "storages": {"file": {"module": "rooms_storage.file"}},
        "tracers": {},
        "chains": {"main": {"links": ["tag"], "storages": ["file"]}},
        "imports": {},
    }
    for path, entry in changes.items():
        section, name = path.split("__")
        document[section][name] = entry
    return parse(document, {})


@pytest.fixture
def rooms(write: Write) -> Write:
    """A sound link and a sound storage."""
    write(rooms_links__tag=LINK, rooms_storage__file=STORAGE, rooms_tracers__trace=TRACER)
    return write


def problems_of(configuration: PipelineConfig) -> list[str]:
    """Every problem of loading it."""
    with pytest.raises(ConfigurationError) as refused:
        load(configuration)
    return refused.value.problems


@pytest.mark.usefixtures("rooms")
def test_plugins_of_a_chain() -> None:
    """Each plugin of an enabled chain is found by its place in the chain."""
    configuration = config(tracers__trace={"module": "rooms_tracers.trace"})
    plugins, chain = load(configuration), configuration.chains["main"]
    link = plugins.link(chain.links[0])
    assert (link.name, link.run.__module__, link.is_async) == ("tag", "rooms_links.tag", False)
    assert plugins.storage(chain, "file").save.__module__ == "rooms_storage.file"
    assert [tracer.name for tracer in plugins.tracers_of(chain)] == ["trace"]


@pytest.mark.usefixtures("rooms")
def test_configured_options_go_over_default_ones() -> None:
    """Options are merged one level deep: a configured mapping replaces the default one whole."""
    configuration = config(
        links__tag={"module": "rooms_links.tag", "options": {"b": {"other": 2}, "c": 3}},
        chains__main={"links": [{"tag": {"c": 4}}]},
    )
    link = load(configuration).link(configuration.chains["main"].links[0])
    assert link.options == {"a": 1, "b": {"other": 2}, "c": 4}


@pytest.mark.usefixtures("rooms")
def test_each_place_in_a_chain_has_its_own_options() -> None:
    """One link used twice with different inline options is loaded as two."""
    configuration = config(chains__main={"links": [{"tag": {"a": 2}}, "tag"]})
    plugins, chain = load(configuration), configuration.chains["main"]
    assert [plugins.link(step).options["a"] for step in chain.links] == [2, 1]


@pytest.mark.usefixtures("rooms")
def test_fresh_options_can_be_changed() -> None:
    """A plugin that changes its options changes only that call's."""
    configuration = config()
    link = load(configuration).link(configuration.chains["main"].links[0])
    link.fresh_options()["a"] = "changed"
    link.fresh_options().pop("b")
    assert link.fresh_options() == {"a": 1, "b": {"deep": 1}}


@pytest.mark.usefixtures("rooms")
def test_a_storage_has_its_terms() -> None:
    """Timeout and retries of a storage come along; functions it lacks are None."""
    entry = {"module": "rooms_storage.file", "timeout": 4, "retries": 1}
    configuration = config(storages__file=entry)
    storage = load(configuration).storage(configuration.chains["main"], "file")
    assert (storage.timeout, storage.retries) == (4.0, 1)
    assert storage.get is storage.delete is storage.close is None


def test_an_async_class(write: Write) -> None:
    """A class with async methods is a plugin, constructed once for all places and all loads."""
    write(
        rooms_storage__file=STORAGE,
        rooms_links__tag="""
class Tagger:
    async def run(self, vcon_uuid, link_name, opts):
        return vcon_uuid
""",
    )
    configuration = config(chains__main={"links": [{"tag": {"a": 2}}, "tag"]})
    plugins, chain = load(configuration), configuration.chains["main"]
    one, other = (plugins.link(step) for step in chain.links)
    assert one.is_async
    assert one.run.__self__ is other.run.__self__
    again = load(configuration).link(chain.links[0])
    assert again.run == one.run  # nothing that its object keeps is lost, or kept twice


@pytest.mark.usefixtures("rooms")
def test_only_enabled_chains_are_loaded() -> None:
    """A module that no enabled chain uses is not imported, so it may be missing."""
    configuration = config(
        links__unused={"module": "not.there"},
        links__off={"module": "not.there.either"},
        storages__unused={"module": "nor.this"},
        chains__off={"links": ["off"], "enabled": 0},
    )
    assert len(load(configuration).links) == 1


@pytest.mark.usefixtures("rooms")
def test_a_typo_gets_the_nearest_module() -> None:
    """A missing module beside others is answered with the one probably meant."""
    assert problems_of(config(links__tag={"module": "rooms_links.taag"})) == [
        "links.tag: no module named 'rooms_links.taag'; did you mean 'rooms_links.tag'?"
        " (wanted by chains.main)"
    ]


def test_a_missing_import_inside_a_module(rooms: Write) -> None:
    """A module that is there but imports what is not, is not itself called missing."""
    rooms(rooms_links__tag="import not_installed_thing.part\n" + LINK)
    entry = {"module": "rooms_links.tag", "pip_name": "tagger==1"}
    assert problems_of(config(links__tag=entry)) == [
        "links.tag: rooms_links.tag is there, but it imports 'not_installed_thing',"
        " which is not installed (its package: tagger==1) (wanted by chains.main)"
    ]


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("def run(", "SyntaxError: '(' was never closed (tag.py, line 1)"),
        ("from json import nothing", "ImportError: cannot import name 'nothing' from 'json'"),
        ("raise KeyError('GROQ')", "KeyError: 'GROQ'"),
        ("raise SystemExit(3)", "SystemExit: 3"),
        ("raise BaseException('a panic')", "BaseException: a panic"),
        ("raise ValueError('caf\\udce9')", "ValueError: caf\ufffd"),
        ("raise ValueError('one\\ntwo')", "ValueError: one"),
    ],
)
def test_a_module_that_fails(rooms: Write, source: str, reason: str) -> None:
    """Any exception of a module's import is reported in one line."""
    rooms(rooms_links__tag=source)
    [problem] = problems_of(config())
    assert problem.startswith(f"links.tag: importing rooms_links.tag fails: {reason}")
    assert "\n" not in problem


@pytest.mark.parametrize("module", ["..tag", "a..b", "rooms_links.tag.deeper"])
@pytest.mark.usefixtures("rooms")
def test_a_module_name_that_is_none(module: str) -> None:
    """An impossible module name is a problem like any other."""
    [problem] = problems_of(config(links__tag={"module": module}))
    assert problem.startswith("links.tag: ")


def test_a_broken_contract_is_reported(rooms: Write) -> None:
    """A module without `run`, and one with a wrong `save`, are reported with their chain."""
    rooms(rooms_links__tag="", rooms_storage__file="def save(opts): ...\n")
    assert problems_of(config()) == [
        "links.tag: has no run(vcon_uuid, link_name, opts) (wanted by chains.main)",
        "storages.file: is defined as save(opts), but is called as save(vcon_uuid, opts)"
        " (wanted by chains.main)",
    ]


def test_all_problems_come_at_once_with_all_chains(rooms: Write) -> None:
    """Every problem is found in one go, and named once with every chain that wants it."""
    rooms(rooms_links__tag="")
    configuration = config(
        imports__extra="not_there_at_all",
        tracers__trace={"module": "rooms_tracers.trac"},
        chains__other={"links": [{"tag": {"a": 2}}, "tag"], "tracers": []},
    )
    assert [problem.partition(":")[0] for problem in problems_of(configuration)] == [
        "imports.extra",
        "links.tag",
        "tracers.trace",
    ]
    assert problems_of(configuration)[1].endswith("(wanted by chains.main, chains.other)")


def test_imports_are_imported(rooms: Write) -> None:
    """What `imports` names is imported, before any plugin."""
    rooms(
        imported_first="import sys\nassert 'rooms_links.tag' not in sys.modules\n",
    )
    load(config(imports__first="imported_first"))
    assert "imported_first" in sys.modules


def test_a_failing_module_is_imported_once(rooms: Write) -> None:
    """A module that fails is not run again for another link of the same load."""
    rooms(rooms_links__tag="import sys\nsys.runs = getattr(sys, 'runs', 0) + 1\nraise ValueError\n")
    configuration = config(
        links__again={"module": "rooms_links.tag"}, chains__more={"links": ["again"]}
    )
    assert len(problems_of(configuration)) == 2
    assert sys.__dict__.pop("runs") == 1


def test_a_module_that_has_appeared_is_found(rooms: Write, tmp_path: Path) -> None:
    """After a load that missed it, a module that is there now is found by the next load."""
    configuration = config(links__tag={"module": "rooms_links.newcomer"})
    assert len(problems_of(configuration)) == 1
    folder = tmp_path / "rooms_links"
    before = folder.stat()
    rooms(rooms_links__newcomer=LINK)
    # As on a file system with coarse times, where the folder does not look changed.
    os.utime(folder, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert load(configuration).links


def test_a_declaration_that_is_misspelt_is_noted(rooms: Write) -> None:
    """Where the service and `check` tell the notes of a configuration."""
    rooms(rooms_links__tag=LINK + "effects = 'once'\n")
    assert load(config()).notes == (
        "links.tag.module: effects = 'once' declares nothing; did you mean 'effect'?",
    )
