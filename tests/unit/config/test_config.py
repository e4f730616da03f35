"""The configuration as a whole: sections, shapes, notes, and what the hash covers."""

import math
from typing import Any

import pytest

from core.errors import ConfigurationError
from pipeline.config.model import limit_of
from pipeline.config.parser import PipelineConfig, PluginSpec, StorageSpec, parse

TAG = {"module": "links.tag"}
FILE = {"module": "storage.file"}


def problems_of(document: object) -> list[str]:
    """Every problem of a document."""
    with pytest.raises(ConfigurationError) as refused:
        parse(document, {})
    return refused.value.problems


def test_an_empty_document_has_no_chains() -> None:
    """An empty mapping is a configuration with nothing in it and nothing to remark."""
    assert parse({}, {}) == PipelineConfig()


@pytest.mark.parametrize(
    "section", ["links", "storages", "tracers", "chains", "imports", "ingress_auth", "followers"]
)
def test_a_null_section_is_an_empty_one(section: str) -> None:
    """A section whose entries are all commented out is neither an error nor worth a note."""
    assert parse({section: None}, {}) == PipelineConfig()


@pytest.mark.parametrize("document", [[], "links", 3])
def test_a_document_is_a_mapping(document: object) -> None:
    """Anything but a mapping at the top is an error."""
    assert problems_of(document) == ["the configuration: must be a mapping (keys with values)"]


@pytest.mark.parametrize("section", ["links", "chains", "imports", "ingress_auth"])
def test_a_section_is_a_mapping(section: str) -> None:
    """A list where a section belongs is an error with the section's name."""
    assert problems_of({section: ["a"]}) == [f"{section}: must be a mapping (keys with values)"]


def test_an_entry_is_a_mapping_too() -> None:
    """A link that is only a text is one error: no second one says that its module is missing."""
    assert problems_of({"links": {"tag": "links.tag"}}) == [
        "links.tag: must be a mapping (keys with values)"
    ]


@pytest.mark.parametrize("section", ["links", "storages", "tracers", "imports"])
@pytest.mark.parametrize("entry", [None, {}, {"module": None}])
def test_a_plugin_needs_a_module(section: str, entry: object) -> None:
    """A plugin without a module is an error, null or absent alike."""
    assert problems_of({section: {"x": entry}}) == [
        f"{section}.x.module: is missing; it must be a text, not empty"
    ]


@pytest.mark.parametrize("module", ["", 3, b"links.tag", ["links.tag"]])
def test_a_module_is_a_text(module: object) -> None:
    """A module that is no text is an error at its path."""
    assert problems_of({"links": {"x": {"module": module}}}) == [
        "links.x.module: must be a text, not empty"
    ]


def test_a_key_is_a_text() -> None:
    """YAML reads an unquoted `no` or `1` as something else than a name; that is pointed out."""
    assert problems_of({"links": {False: TAG, 1: TAG}}) == [
        "links[false]: a key must be a text; quote it",
        "links[1]: a key must be a text; quote it",
    ]


def test_a_name_with_a_dot_is_quoted_in_paths() -> None:
    """A path stays unambiguous when a name has a dot in it."""
    assert problems_of({"links": {"a.b": TAG | {"retries": -1}}}) == [
        'links["a.b"].retries: must be a whole number, 0 or more'
    ]


def test_all_problems_come_at_once() -> None:
    """One mistake does not hide another, wherever it is."""
    found = problems_of(
        {
            "links": {"tag": TAG | {"timeout": 0}, "broken": {}},
            "storages": {"file": FILE | {"options": []}},
            "chains": {"main": {"links": ["tagg"], "storages": ["flie"], "timeout": "soon"}},
            "ingress_auth": {"calls": 5},
        }
    )
    assert [problem.partition(":")[0] for problem in found] == [
        "links.tag.timeout",
        "links.broken.module",
        "storages.file.options",
        "chains.main.links[0]",
        "chains.main.storages[0]",
        "chains.main.timeout",
        "ingress_auth.calls",
    ]


UNKNOWN = {
    "worker": 3,
    "links": {"tag": TAG | {"ingress-lists": ["x"]}},
    "chains": {"main": {"links": ["tag"], "comment": "the only one"}},
}


def test_unknown_keys_are_notes() -> None:
    """A key that nothing reads, at any level, is remarked with its path and does no harm."""
    assert parse(UNKNOWN, {}).notes == (
        "links.tag.ingress-lists: not a known key, ignored",
        "chains.main.comment: not a known key, ignored",
        "worker: not a known key, ignored",
    )


def test_unknown_keys_are_problems_if_strict() -> None:
    """CONFIG_STRICT makes them errors that tell what there is; `x-` keys stay free."""
    with pytest.raises(ConfigurationError) as refused:
        parse(UNKNOWN, {}, strict=True)
    places = [problem.partition(":")[0] for problem in refused.value.problems]
    assert places == ["links.tag.ingress-lists", "chains.main.comment", "worker"]
    assert "known: chains, connection_plugins, connections," in refused.value.problems[-1]
    free = {"x-defaults": {}, "chains": {"main": {"links": ["tag"], "x-owner": 1}}}
    assert parse({"links": {"tag": TAG}} | free, {}, strict=True).notes == ()


CLOSE = [
    ({"storage": {}}, "storage", "storages"),
    ({"Chains": {}}, "Chains", "chains"),
    ({"connection-plugins": []}, "connection-plugins", "connection_plugins"),
    ({"ingres_auth": {}}, "ingres_auth", "ingress_auth"),
    ({"links": {"tag": TAG | {"option": {}}}}, "links.tag.option", "options"),
    ({"links": {"tag": TAG | {"time-out": 3}}}, "links.tag.time-out", "timeout"),
    ({"storages": {"file": FILE | {"retrys": 0}}}, "storages.file.retrys", "retries"),
    ({"storages": {"file": FILE | {"pip": "x"}}}, "storages.file.pip", "pip_name"),
    ({"tracers": {"t": TAG | {"opitons": {}}}}, "tracers.t.opitons", "options"),
    ({"imports": {"i": TAG | {"pipname": "x"}}}, "imports.i.pipname", "pip_name"),
    ({"chains": {"main": {"ingres_lists": ["a"]}}}, "chains.main.ingres_lists", "ingress_lists"),
    ({"chains": {"main": {"egress": ["a"]}}}, "chains.main.egress", "egress_lists"),
    ({"chains": {"main": {"storage": ["a"]}}}, "chains.main.storage", "storages"),
    ({"chains": {"main": {"enable": 0}}}, "chains.main.enable", "enabled"),
    ({"flows": {"folders": "x"}}, "flows.folders", "folder"),
]


@pytest.mark.parametrize(("document", "where", "near"), CLOSE, ids=[each[1] for each in CLOSE])
def test_a_key_that_is_nearly_a_known_one_is_a_problem(
    document: object, where: str, near: str
) -> None:
    """At every level: what was meant would be missing in silence."""
    assert problems_of(document) == [f"{where}: not a known key; did you mean {near!r}?"]


@pytest.mark.parametrize("name", ["cals", "callss", "clals", "Calls"])
def test_keys_for_a_list_that_is_nearly_one_that_is_read(name: str) -> None:
    """A partner's key would open nothing."""
    chains = {"main": {"ingress_lists": ["calls"]}}
    assert problems_of({"chains": chains, "ingress_auth": {name: "partner-key-12345"}}) == [
        f"ingress_auth.{name}: no chain reads this list; did you mean 'calls'?"
    ]


def test_lists_of_names_that_are_alike_are_free() -> None:
    """Digits tell lists apart, and a list that a disabled chain reads is meant."""
    chains = {
        "main": {"ingress_lists": ["calls1", "mail"]},
        "off": {"ingress_lists": ["mails"], "enabled": 0},
    }
    auth = {"calls2": "key-of-a-partner", "mails": "another-key-of-it"}
    assert parse({"chains": chains, "ingress_auth": auth}, {}).notes == (
        "ingress_auth.calls2: no enabled chain reads this list",
        "ingress_auth.mails: no enabled chain reads this list",
    )


def test_unknown_keys_in_options_are_the_modules_business() -> None:
    """Options are handed on as they are, with no remark about any of them."""
    options = {"webhook-urls": ["https://example.com"], "nested": {"a": [1]}}
    config = parse(
        {
            "links": {"hook": {"module": "links.webhook", "options": options}},
            "chains": {"main": {"links": ["hook"]}},
        },
        {},
    )
    assert config.links["hook"].plugin.options == options
    assert config.notes == ()


def test_followers_are_noted_as_not_supported() -> None:
    """The section of older files is named as not supported instead of being unknown."""
    config = parse({"followers": {"other": {"url": "https://example.com"}}}, {})
    assert config.notes == ("followers: following other servers is not supported, ignored",)


@pytest.mark.parametrize("enabled", [None, 0])
def test_an_unused_link_is_a_note(enabled: int | None) -> None:
    """A link that no enabled chain names is remarked; a disabled chain does not count."""
    chains = {"main": {"links": ["tag"], "enabled": 0}} if enabled == 0 else {}
    config = parse({"links": {"tag": TAG}, "chains": chains}, {})
    assert config.notes == ("links.tag: no enabled chain uses it, so its module is not loaded",)


def test_an_unused_storage_is_no_note() -> None:
    """A storage that no chain writes to may still be read from."""
    assert parse({"storages": {"file": FILE}}, {}).notes == ()


def test_link_timeout_and_retries_stand_beside_the_options() -> None:
    """`timeout` and `retries` of a link are the engine's; those in its options stay its own."""
    link = TAG | {"timeout": 2.5, "retries": 4, "options": {"timeout": 9, "retries": 8}}
    step = parse({"links": {"tag": link}}, {}).links["tag"]
    assert (step.timeout, step.retries) == (2.5, 4)
    assert step.plugin.options == {"timeout": 9, "retries": 8}


def test_link_defaults() -> None:
    """A link is not repeated unless the file says so."""
    step = parse({"links": {"tag": TAG}}, {}).links["tag"]
    assert (step.timeout, step.retries) == (None, 0)


@pytest.mark.parametrize(
    ("written", "seconds"),
    [({}, None), ({"timeout": None}, None), ({"timeout": 7}, 7), ({"timeout": " None "}, math.inf)],
)
def test_time_limits_there_are_by_default_and_none(
    written: dict[str, Any], seconds: float | None
) -> None:
    """Five minutes for a call and an hour for a run; `none` takes them away, null does not."""
    config = parse(
        {
            "links": {"tag": TAG | written},
            "storages": {"file": FILE | written},
            "chains": {"main": {"links": ["tag"], "storages": ["file"], **written}},
        },
        {},
    )
    chain = config.chains["main"]
    assert [each.timeout for each in (*chain.links, *chain.storages, chain)] == [seconds] * 3
    assert chain.seconds == {None: 3600, math.inf: None}.get(seconds, seconds)
    assert limit_of(seconds, 300) == {None: 300, math.inf: None}.get(seconds, seconds)


def test_storage_defaults() -> None:
    """A storage is repeated three times unless the file says otherwise."""
    assert parse({"storages": {"file": FILE}}, {}).storages["file"].retries == 3


def test_storage_timeout_and_retries() -> None:
    """A storage has its own timeout and retries."""
    storages = {"file": FILE | {"timeout": 10, "retries": 0}}
    assert parse({"storages": storages}, {}).storages["file"] == StorageSpec(
        "file", "storage.file", timeout=10.0, retries=0
    )


@pytest.mark.parametrize("seconds", [0, -1, "soon", [], float("nan"), float("inf")])
def test_a_timeout_is_a_number_above_zero(seconds: object) -> None:
    """A timeout that could never or instantly pass is an error."""
    assert problems_of({"links": {"tag": TAG | {"timeout": seconds}}}) == [
        "links.tag.timeout: must be a number of seconds above 0"
    ]


def test_numbers_may_be_texts() -> None:
    """A number out of the environment arrives as a text and counts as a number."""
    links = {"tag": TAG | {"timeout": "${T}", "retries": "${R:-2}"}}
    step = parse({"links": links}, {"T": "1.5"}).links["tag"]
    assert (step.timeout, step.retries) == (1.5, 2)


def test_imports_in_both_forms() -> None:
    """An import is a mapping, or in older files just the module's name."""
    imports = {
        "custom": {"module": "custom_utils", "pip_name": "custom-utils-package"},
        "requests_import": {"module": "requests"},
        "legacy_module": "some.legacy.module",
    }
    assert parse({"imports": imports}, {}).imports == {
        "custom": PluginSpec("custom", "custom_utils", "custom-utils-package"),
        "requests_import": PluginSpec("requests_import", "requests"),
        "legacy_module": PluginSpec("legacy_module", "some.legacy.module"),
    }


def test_storages_keep_the_order_of_the_file() -> None:
    """The order decides which storage is asked first for a vCon that Redis has lost."""
    config = parse({"storages": dict.fromkeys(("z", "a", "m"), FILE)}, {})
    assert list(config.storages) == ["z", "a", "m"]


def test_secrets_are_not_in_the_text_of_a_configuration() -> None:
    """Printing a configuration shows neither options, nor ingress keys, nor pip names."""
    config = parse(
        {
            "links": {
                "tag": TAG | {"options": {"k": "s3cret"}, "pip_name": "git+https://s3cret@x/y"}
            },
            "storages": {"file": FILE | {"options": {"k": "s3cret"}}},
            "chains": {"main": {"links": [{"tag": {"l": "s3cret"}}], "ingress_lists": ["in"]}},
            "ingress_auth": {"in": "s3cret-of-a-partner"},
        },
        {},
    )
    assert "links.tag" in repr(config)
    assert "s3cret" not in repr(config)


def test_specs_can_be_looked_up_by_what_they_say() -> None:
    """Equal specs are one key of a mapping; another option makes another key."""
    one, same, other = (PluginSpec("a", "m", options={"x": value}) for value in (1, 1, 2))
    assert {one: "found"}.get(same) == "found"
    assert {one: "found"}.get(other) is None


def test_a_document_that_contains_itself_is_refused() -> None:
    """An alias inside its own anchor is an error, not an endless walk."""
    options: dict[str, object] = {}
    options["again"] = options
    assert problems_of({"links": {"tag": TAG | {"options": options}}}) == [
        "the configuration contains itself: an alias (*name) inside its own anchor (&name)"
    ]
