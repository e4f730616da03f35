"""Chains: what they name, which lists they may use, and how they are looked up."""

from typing import Any

import pytest

from core.errors import ConfigurationError
from pipeline.config.parser import Chain, LinkStep, PipelineConfig, PluginSpec, StorageSpec, parse

DEFINED = {
    "links": {
        "tag": {"module": "links.tag", "options": {"tags": ["a"], "kept": 1}, "retries": 2},
        "webhook": {"module": "links.webhook"},
    },
    "storages": {"file": {"module": "storage.file"}, "postgres": {"module": "storage.postgres"}},
    "tracers": {"one": {"module": "tracers.one"}, "two": {"module": "tracers.two"}},
}


def parsed(**chains: dict[str, Any]) -> PipelineConfig:
    """A configuration with these chains and everything they may name."""
    return parse(DEFINED | {"chains": chains}, {})


def problems_of(**chains: dict[str, Any]) -> list[str]:
    """Every problem of these chains."""
    with pytest.raises(ConfigurationError) as refused:
        parsed(**chains)
    return refused.value.problems


def test_a_chain_with_everything() -> None:
    """Every key of a chain is read, and every name is resolved to what it names."""
    chain = {
        "links": ["webhook", "tag"],
        "storages": ["postgres"],
        "tracers": ["two"],
        "ingress_lists": ["in", "other"],
        "egress_lists": ["out"],
        "enabled": 1,
        "timeout": 300,
        "max_attempts": 5,
        "allow_envelopes": 1,
        "repeat_uncertain": 1,
        "extensions": ["lawful_basis", "x"],
    }
    tag = PluginSpec("tag", "links.tag", options={"tags": ["a"], "kept": 1})
    assert parsed(main=chain).chains["main"] == Chain(
        name="main",
        links=(
            LinkStep("webhook", PluginSpec("webhook", "links.webhook")),
            LinkStep("tag", tag, retries=2),
        ),
        storages=(StorageSpec("postgres", "storage.postgres"),),
        tracers=(PluginSpec("two", "tracers.two"),),
        ingress_lists=("in", "other"),
        egress_lists=("out",),
        enabled=True,
        timeout=300.0,
        max_attempts=5,
        allow_envelopes=True,
        repeat_uncertain=True,
        extensions=("lawful_basis", "x"),
    )


@pytest.mark.parametrize("content", [None, {}, {"links": None, "storages": None, "enabled": None}])
def test_a_chain_without_anything(content: dict[str, Any]) -> None:
    """Null and absent keys of a chain are its defaults: enabled, no lists, three attempts."""
    chain = parsed(main=content).chains["main"]
    assert chain.links == chain.storages == chain.ingress_lists == chain.egress_lists == ()
    assert (chain.enabled, chain.timeout, chain.max_attempts) == (True, None, 3)
    assert (chain.allow_envelopes, chain.extensions) == (False, ())


@pytest.mark.parametrize(
    ("extensions", "problem"),
    [
        ("lawful_basis", "extensions: must be a list"),
        (["a", 7], "extensions[1]: must be the name of an extension, as vCons have it"),
        ([""], "extensions[0]: must be the name of an extension, as vCons have it"),
    ],
)
def test_extensions_are_a_list_of_names(extensions: object, problem: str) -> None:
    """Anything else is an error at its path."""
    assert problems_of(main={"extensions": extensions}) == [f"chains.main.{problem}"]


def test_a_misspelt_extensions_is_answered_with_the_key() -> None:
    """Without it, every vCon that needs one would be refused."""
    [problem] = problems_of(main={"extension": ["lawful_basis"]})
    assert "did you mean 'extensions'?" in problem


def test_inline_options_go_over_those_of_the_link() -> None:
    """`- tag: {tags: [vip]}` changes that option in that place and keeps the others."""
    config = parsed(main={"links": [{"tag": {"tags": ["vip"]}}, "tag"]})
    changed, plain = config.chains["main"].links
    assert changed.plugin.options == {"tags": ["vip"], "kept": 1}
    assert plain.plugin.options == {"tags": ["a"], "kept": 1}


def test_inline_options_leave_timeout_and_retries() -> None:
    """Inline options are the module's; how the engine treats the link stays as defined."""
    [step] = parsed(main={"links": [{"tag": {"retries": 9}}]}).chains["main"].links
    assert step.retries == 2
    assert step.plugin.options["retries"] == 9


def test_inline_null_changes_nothing() -> None:
    """`- tag:` with nothing below it is the link as defined."""
    config = parsed(main={"links": [{"tag": None}]})
    assert config.chains["main"].links == (config.links["tag"],)


def test_a_link_may_be_used_twice() -> None:
    """The same link twice in a chain is two steps."""
    assert len(parsed(main={"links": ["tag", "tag"]}).chains["main"].links) == 2


@pytest.mark.parametrize("entry", [{"tag": {}, "webhook": {}}, {}])
def test_an_inline_entry_names_one_link(entry: object) -> None:
    """Options that slipped beside the link's name are an error that says how to write it."""
    assert problems_of(main={"links": ["tag", entry]}) == [
        "chains.main.links[1]: must be a link's name, or one name with its options below it"
    ]


def test_inline_options_are_a_mapping() -> None:
    """A text where inline options belong is an error at its path."""
    assert problems_of(main={"links": [{"tag": "vip"}]}) == [
        "chains.main.links[0].options: must be a mapping (keys with values)"
    ]


def test_a_typo_in_a_link_is_answered_with_the_nearest_name() -> None:
    """An unknown link gives its place and the name that was probably meant."""
    assert problems_of(main={"links": ["tag", "webhook", "tagg"]}) == [
        "chains.main.links[2]: no link named 'tagg'; did you mean 'tag'?"
    ]


@pytest.mark.parametrize(
    ("key", "kind", "known"),
    [
        ("links", "link", "tag, webhook"),
        ("storages", "storage", "file, postgres"),
        ("tracers", "tracer", "one, two"),
    ],
)
def test_an_unknown_name_is_answered_with_the_known_ones(key: str, kind: str, known: str) -> None:
    """A name near to none gets all there are, sorted."""
    assert problems_of(main={key: ["xyzzy"]}) == [
        f"chains.main.{key}[0]: no {kind} named 'xyzzy'; known: {known}"
    ]


def test_an_unknown_name_where_there_are_none() -> None:
    """With nothing defined, the message says so."""
    with pytest.raises(ConfigurationError, match="no link named 'tag'; known: none"):
        parse({"chains": {"main": {"links": ["tag"]}}}, {})


@pytest.mark.parametrize(("key", "kind"), [("links", "link"), ("storages", "storage")])
def test_a_name_is_a_text(key: str, kind: str) -> None:
    """A number or a list where a name belongs is an error."""
    assert problems_of(main={key: [3]}) == [f"chains.main.{key}[0]: must be the name of a {kind}"]


@pytest.mark.parametrize("key", ["links", "storages", "tracers", "ingress_lists", "egress_lists"])
def test_lists_are_lists(key: str) -> None:
    """A single text is not taken for a list of its letters."""
    assert problems_of(main={key: "default"}) == [f"chains.main.{key}: must be a list"]


def test_names_are_checked_in_disabled_chains_too() -> None:
    """A disabled chain is still read: what it says wrong is wrong."""
    assert problems_of(main={"links": ["tagg"], "enabled": 0}) == [
        "chains.main.links[0]: no link named 'tagg'; did you mean 'tag'?"
    ]


def test_a_link_that_is_wrong_itself_is_not_unknown() -> None:
    """A mistake in a link's definition gives one error, not another for every chain using it."""
    document = {"links": {"tag": {}}, "chains": {"main": {"links": ["tag"]}}}
    with pytest.raises(ConfigurationError) as refused:
        parse(document, {})
    assert len(refused.value.problems) == 1


@pytest.mark.parametrize(
    ("written", "enabled"),
    [(1, True), (0, False), (True, True), (False, False), ("0", False), ("no", False)],
)
def test_enabled_in_many_spellings(written: object, enabled: bool) -> None:
    """1 and 0, booleans, and what the environment can hold."""
    assert parsed(main={"enabled": written}).chains["main"].enabled is enabled


@pytest.mark.parametrize("written", [2, "maybe", []])
def test_enabled_is_a_switch(written: object) -> None:
    """Anything else is an error."""
    assert problems_of(main={"enabled": written}) == [
        "chains.main.enabled: must be true or false (1 or 0)"
    ]


@pytest.mark.parametrize("attempts", [0, -1, 1.5, "many"])
def test_max_attempts_is_a_count(attempts: object) -> None:
    """Fewer than one attempt, or a part of one, is an error."""
    assert problems_of(main={"max_attempts": attempts}) == [
        "chains.main.max_attempts: must be a whole number, 1 or more"
    ]


def test_tracers_default_to_all() -> None:
    """A chain that says nothing about tracers has all of them, in the order of the file."""
    assert [tracer.name for tracer in parsed(main={}).chains["main"].tracers] == ["one", "two"]


def test_a_chain_may_have_no_tracers() -> None:
    """An empty list of tracers means none."""
    assert parsed(main={"tracers": []}).chains["main"].tracers == ()


def test_a_name_given_twice_counts_once() -> None:
    """A storage or list named twice in one chain is remarked and counted once."""
    config = parsed(main={"storages": ["file", "file"], "ingress_lists": ["in", "in"], "links": []})
    chain = config.chains["main"]
    assert ([storage.name for storage in chain.storages], chain.ingress_lists) == (
        ["file"],
        ("in",),
    )
    assert "chains.main.storages[1]: 'file' is named twice, once is enough" in config.notes
    assert "chains.main.ingress_lists[1]: 'in' is named twice, once is enough" in config.notes
