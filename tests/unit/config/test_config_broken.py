"""A chain with a broken plugin: refused with the file, or disabled alone with its reasons."""

import copy
from typing import Any

import pytest

from core.errors import ConfigurationError
from pipeline.config.broken import MOST_TEXTS, disabled
from pipeline.config.model import OnBroken, PipelineConfig
from pipeline.config.parser import parse
from pipeline.plugins.loader import Plugins, load

DOCUMENT: dict[str, Any] = {
    "links": {
        "tag": {"module": "links.tag"},
        "bad": {"module": "links.no_such_link_anywhere"},
    },
    "storages": {"files": {"module": "storage.file", "options": {"path": "/nowhere"}}},
    "chains": {
        "good": {"links": ["tag"], "ingress_lists": ["in"]},
        "ill": {"links": ["bad"], "ingress_lists": ["calls"], "on_broken": "disable"},
    },
}


def document(**changes: Any) -> dict[str, Any]:
    """The document with other keys in the chain `ill`, and other sections."""
    changed = copy.deepcopy(DOCUMENT)
    changed["chains"]["ill"] |= changes.pop("ill", {})
    return changed | changes


def loaded(document: object, on_broken: OnBroken = "refuse") -> tuple[PipelineConfig, Plugins]:
    """The configuration as it comes into force, and its plugins."""
    config = parse(document, {}, on_broken=on_broken)
    plugins = load(config)
    return disabled(config, plugins.broken), plugins


def enabled(config: PipelineConfig) -> list[str]:
    """The names of the chains that run."""
    return [chain.name for chain in config.enabled_chains]


def test_a_missing_module_disables_only_its_chain() -> None:
    """Its list is kept: vCons are taken in, and read by no chain."""
    config, plugins = loaded(DOCUMENT)
    assert enabled(config) == ["good"]
    [text] = config.chains["ill"].broken
    assert text.startswith("links.bad: no module named 'links.no_such_link_anywhere'")
    taker = config.chain_taking("calls")
    assert taker is not None
    assert taker.name == "ill"
    assert config.chain_reading("calls") is None
    assert [spec.name for spec in plugins.links] == ["tag"]


def test_without_it_the_file_is_refused() -> None:
    """As ever; the chain may say so against the setting, too."""
    with pytest.raises(ConfigurationError, match="no_such_link_anywhere"):
        loaded(document(ill={"on_broken": None}))
    with pytest.raises(ConfigurationError, match="no_such_link_anywhere"):
        loaded(document(ill={"on_broken": "refuse"}), "disable")


def test_the_setting_is_for_all_chains() -> None:
    """CONFIG_ON_BROKEN=disable, where the chain says nothing."""
    config, _ = loaded(document(ill={"on_broken": None}), "disable")
    assert enabled(config) == ["good"]


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"links": ["gone"]}, "chains.ill.links[0]: no link named 'gone'"),
        ({"links": [7]}, "chains.ill.links[0]: must be the name of a link"),
        ({"storages": ["gone"]}, "chains.ill.storages[0]: no storage named 'gone'"),
        ({"tracers": ["gone"]}, "chains.ill.tracers[0]: no tracer named 'gone'"),
        ({"links": {"tag": 1}}, "chains.ill.links: must be a list"),
    ],
)
def test_plugins_that_are_not_defined(changes: dict[str, Any], text: str) -> None:
    """The file can be read, so the other chains run."""
    config, _ = loaded(document(ill=changes))
    assert enabled(config) == ["good"]
    assert config.chains["ill"].broken[0].startswith(text)


@pytest.mark.parametrize(
    ("entry", "text"),
    [
        (None, "links.bad.module: is missing"),
        ("links.tag", "links.bad: must be a mapping"),
        ({"module": "links.tag", "retries": "x"}, "links.bad.retries: must be a whole number"),
        ({"module": "links.tag", "option": {}}, "links.bad.option: not a known key; did you mean"),
        ({"module": "links.tag", "options": {"tags": 3}}, "links.bad: options.tags"),
        ({"module": "links.tag", "options": {"tagz": []}}, "links.bad: options.tagz: not a known"),
        ({"module": "links.tag", "options": {"tags": ["${NO_SUCH}"]}}, "links.bad.options.tags[0]"),
        ({"module": "storage.file"}, "links.bad: has no run("),
        ({"module": "links.tag", "destination": "a b"}, "links.bad.destination: must be letters"),
    ],
)
def test_an_entry_that_is_wrong(entry: object, text: str) -> None:
    """In its keys, its options, its variables or its module."""
    config, _ = loaded(document(links=DOCUMENT["links"] | {"bad": entry}))
    assert enabled(config) == ["good"]
    assert config.chains["ill"].broken[0].startswith(text)


def test_a_plugin_that_another_chain_needs_refuses_the_file() -> None:
    """That chain says `refuse`, so it is not disabled."""
    shared = document()
    shared["chains"]["good"]["links"] = ["tag", "bad"]
    with pytest.raises(ConfigurationError, match=r"wanted by chains\.good, chains\.ill"):
        loaded(shared)
    config, _ = loaded(shared, "disable")
    assert (enabled(config), len(config.chains["good"].broken)) == ([], 1)


@pytest.mark.parametrize(
    "changes",
    [
        {"ill": {"ingress_lists": ["vcons"]}},
        {"ill": {"timeout": "soon"}},
        {"ill": {"storage": ["files"]}},
        {"ill": {"on_broken": "ignore"}},
        {"ill": {"on_broken": False}},
        {"ingress_auth": {"calls": 3}},
        {"linkz": {}},
    ],
)
def test_other_problems_refuse_the_file(changes: dict[str, Any]) -> None:
    """They are no plugin's: a list or a key would mean something else than is written."""
    with pytest.raises(ConfigurationError):
        loaded(document(**changes), "disable")


def test_what_no_chain_names_is_a_note() -> None:
    """With the setting only: a storage that nothing writes to, an import."""
    more = {"storages": {"odd": {"module": None}}, "imports": {"helper": "no_such_helper_module"}}
    config, plugins = loaded(document(**more), "disable")
    assert enabled(config) == ["good"]
    assert [each for each in config.notes if each.startswith("storages.odd.module: is missing")]
    assert [each for each in plugins.notes if each.startswith("imports.helper: no module named")]
    with pytest.raises(ConfigurationError, match=r"storages\.odd"):
        loaded(document(**more))


def test_the_hash_is_that_of_the_file() -> None:
    """A replica on which a module is missing has the same configuration as the others."""
    config, _ = loaded(DOCUMENT)
    other = parse(document(ill={"on_broken": None}), {})
    assert config.hash == parse(DOCUMENT, {}).hash == other.hash


def test_many_problems_are_bounded() -> None:
    """Of one chain."""
    config, _ = loaded(document(ill={"links": [f"gone{n}" for n in range(100)]}))
    assert len(config.chains["ill"].broken) == MOST_TEXTS


def test_a_disabled_chain_that_is_broken_is_not_looked_at() -> None:
    """Its plugins are not loaded, so nothing is known of them."""
    config, _ = loaded(document(ill={"enabled": 0}))
    assert config.chains["ill"].broken == ()
