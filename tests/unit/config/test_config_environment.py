"""`${NAME}` in values: how it is filled, and what a missing variable means where."""

from typing import Any

import pytest

from core.errors import ConfigurationError
from pipeline.config.environment import Environment, Missing
from pipeline.config.parser import PipelineConfig, parse

VARIABLES = {"KEY": "k3y", "EMPTY": "", "DOLLAR": "${KEY}"}


@pytest.mark.parametrize(
    ("text", "filled"),
    [
        ("${KEY}", "k3y"),
        ("${env.KEY}", "k3y"),
        ("a ${KEY} and ${env.KEY}.", "a k3y and k3y."),
        ("${KEY:-other}", "k3y"),
        ("${NOPE:-other}", "other"),
        ("${env.NOPE:-a b:c-d}", "a b:c-d"),
        ("${NOPE:-}", ""),
        ("${EMPTY}", ""),
        ("${EMPTY:-other}", "other"),
        ("$${KEY}", "${KEY}"),
        ("$${env.KEY} ${KEY}", "${env.KEY} k3y"),
        ("$KEY", "$KEY"),
        ("costs 5$", "costs 5$"),
    ],
)
def test_texts_are_filled(text: str, filled: str) -> None:
    """Every form of a variable gives its value, its default, or with `$$` itself."""
    environment = Environment(VARIABLES)
    assert environment.fill(text) == filled
    assert not environment.missing
    assert not environment.strays


def test_values_are_not_filled_again() -> None:
    """A variable's value is taken as it is, even when it looks like a variable."""
    assert Environment(VARIABLES).fill("${DOLLAR}") == "${KEY}"


def test_texts_at_any_depth_are_filled_and_keys_are_not() -> None:
    """Values in lists and mappings are filled; keys and other types stay."""
    document = {"${KEY}": [{"a": "${KEY}"}, 3, None, True]}
    assert Environment(VARIABLES).fill(document) == {"${KEY}": [{"a": "k3y"}, 3, None, True]}


def test_the_document_itself_is_not_changed() -> None:
    """Filling gives a copy."""
    document = {"a": ["${KEY}"]}
    Environment(VARIABLES).fill(document)
    assert document == {"a": ["${KEY}"]}


def test_missing_variables_are_collected_with_their_places() -> None:
    """Every missing variable is known by name and place."""
    environment = Environment({})
    environment.fill({"a": ["x", "${ONE} ${env.TWO}"]})
    assert environment.missing == [Missing(("a", 1), "ONE"), Missing(("a", 1), "TWO")]


@pytest.mark.parametrize("text", ["${inputs.item}", "${}", "${1ST}", "${A-b}", "${KEY", "${{x}}"])
def test_what_is_no_variable_stays(text: str) -> None:
    """Other uses of `${` are left as they are, and their place is remembered."""
    environment = Environment(VARIABLES)
    assert environment.fill({"prompt": text}) == {"prompt": text}
    assert environment.strays == [("prompt",)]


def document(text: str, **changes: Any) -> dict[str, Any]:
    """A configuration whose link, storage, tracer, key and chain all hold a text."""
    plugin = {"module": "some.module", "options": {"deep": [{"key": text}]}}
    chain = {"links": ["a"], "storages": ["b"], "ingress_lists": ["in"], **changes}
    return {
        "links": {"a": plugin},
        "storages": {"b": plugin},
        "tracers": {"c": plugin},
        "chains": {"main": chain},
        "ingress_auth": {"in": [f"{text}-key-of-a-partner"]},
    }


def problems_of(configuration: dict[str, Any]) -> list[str]:
    """Every problem in an empty environment."""
    with pytest.raises(ConfigurationError) as refused:
        parse(configuration, {})
    return refused.value.problems


def test_a_missing_variable_in_use_is_a_problem() -> None:
    """What an enabled chain uses must have its variables; the message has name and path."""
    assert problems_of(document("${GONE}")) == [
        "links.a.options.deep[0].key: the environment has no GONE",
        "storages.b.options.deep[0].key: the environment has no GONE",
        "tracers.c.options.deep[0].key: the environment has no GONE",
        "ingress_auth.in[0]: the environment has no GONE",
    ]


def test_a_missing_variable_out_of_use_is_a_note() -> None:
    """With the chain disabled, the same variables are only remarked."""
    notes = parse(document("${GONE}", enabled=0), {}).notes
    assert [note for note in notes if "GONE" in note] == [
        f"{path}: the environment has no GONE; nothing enabled needs it"
        for path in (
            "links.a.options.deep[0].key",
            "storages.b.options.deep[0].key",
            "tracers.c.options.deep[0].key",
            "ingress_auth.in[0]",
        )
    ]


def test_a_missing_variable_in_a_chain_and_in_an_import() -> None:
    """A chain that runs and an import must have theirs."""
    configuration = {
        "imports": {"x": "${GONE}"},
        "chains": {"main": {"timeout": "${AWAY}", "ingress_lists": ["${LOST}"]}},
    }
    assert problems_of(configuration) == [
        "imports.x: the environment has no GONE",
        "chains.main.timeout: the environment has no AWAY",
        "chains.main.ingress_lists[0]: the environment has no LOST",
    ]


def test_a_missing_variable_is_one_problem_only() -> None:
    """The unfilled text is not complained about a second time, as a number or as a shared key."""
    configuration = {
        "chains": {"main": {"timeout": "${GONE}", "ingress_lists": ["a", "b"]}},
        "ingress_auth": {"a": "${GONE}", "b": ["${GONE}"]},
    }
    assert len(problems_of(configuration)) == 3


def test_a_storage_knows_what_it_lacks() -> None:
    """A storage no enabled chain writes to is kept, with the variables it would need."""
    config = parse(document("${GONE} ${GONE} ${env.AWAY}", enabled=0), {})
    assert config.storages["b"].unset == ("GONE", "AWAY")


def test_a_filled_storage_lacks_nothing() -> None:
    """With its variables there, nothing is unset."""
    assert parse(document("${KEY}"), VARIABLES).storages["b"].unset == ()


def test_variables_in_unknown_sections_do_not_matter() -> None:
    """Variables of a section that is not read are not required."""
    configuration = {"followers": {"x": {"auth_token": "${GONE}"}}}
    assert parse(configuration, {}) == PipelineConfig(
        notes=("followers: following other servers is not supported, ignored",)
    )


def test_a_stray_opening_is_noted() -> None:
    """A misspelt variable is remarked with its path."""
    notes = parse(document("${KEY-NAME}"), {}).notes
    assert "links.a.options.deep[0].key: '${' begins no variable here and is left as it is" in notes


def test_inline_options_are_filled_too() -> None:
    """A variable in a chain's inline options is filled."""
    config = parse(document("x", links=[{"a": {"key": "${KEY}"}}]), VARIABLES)
    assert config.chains["main"].links[0].plugin.options["key"] == "k3y"
