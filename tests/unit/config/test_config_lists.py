"""The lists of chains: what they may be called, and who reads them."""

from typing import Any

import pytest

from core.errors import ConfigurationError
from pipeline.config.parser import PipelineConfig, parse


def parsed(**chains: dict[str, Any]) -> PipelineConfig:
    """A configuration with these chains."""
    return parse({"chains": chains}, {})


def problems_of(**chains: dict[str, Any]) -> list[str]:
    """Every problem of these chains."""
    with pytest.raises(ConfigurationError) as refused:
        parsed(**chains)
    return refused.value.problems


@pytest.mark.parametrize("key", ["ingress_lists", "egress_lists"])
@pytest.mark.parametrize("prefix", ["pc:", "run:", "DLQ:", "vcon:", "context:", "tel:"])
def test_reserved_beginnings_of_list_names(key: str, prefix: str) -> None:
    """A list whose name begins like one of the service's own keys is an error."""
    assert problems_of(main={key: [f"{prefix}calls"]}) == [
        f"chains.main.{key}[0]: no list may begin with {prefix!r}; choose another name"
    ]


def test_the_index_is_no_list() -> None:
    """`vcons` is the index of all vCons and cannot be a list."""
    assert problems_of(main={"ingress_lists": ["vcons"]}) == [
        "chains.main.ingress_lists[0]: 'vcons' is used otherwise; choose another name"
    ]


@pytest.mark.parametrize("name", ["", 5, None, ["calls"], {"calls": {}}])
def test_a_list_name_is_a_text(name: object) -> None:
    """A list name that is empty or no text is an error."""
    assert problems_of(main={"egress_lists": [name]}) == [
        "chains.main.egress_lists[0]: a list's name must be a text, not empty"
    ]


def test_a_chain_must_not_feed_itself() -> None:
    """A list that a chain both reads and writes would go round for ever."""
    assert problems_of(main={"ingress_lists": ["a", "b"], "egress_lists": ["out", "b"]}) == [
        "chains.main.egress_lists: 'b' is also read by this chain, which would never end"
    ]


def test_two_chains_on_one_list() -> None:
    """Two enabled chains on one ingress list are an error that names both."""
    assert problems_of(one={"ingress_lists": ["in"]}, two={"ingress_lists": ["x", "in"]}) == [
        "chains.two.ingress_lists: 'in' is already read by chains.one"
    ]


def test_a_disabled_chain_does_not_compete() -> None:
    """A disabled chain may have the list of an enabled one: only one of them consumes it."""
    config = parsed(old={"ingress_lists": ["in"], "enabled": 0}, new={"ingress_lists": ["in"]})
    reader = config.chain_reading("in")
    assert reader is not None
    assert reader.name == "new"


def test_a_list_may_lead_to_another_chain() -> None:
    """One chain's egress may be another chain's ingress."""
    config = parsed(
        one={"ingress_lists": ["in"], "egress_lists": ["next"]}, two={"ingress_lists": ["next"]}
    )
    assert config.ingress_lists == ("in", "next")


def test_lists_of_disabled_chains_have_no_reader() -> None:
    """A disabled chain reads no lists, but they take vCons in."""
    config = parsed(main={"ingress_lists": ["in"], "enabled": 0}, other={"ingress_lists": ["a"]})
    assert (config.ingress_lists, config.intake_lists) == (("a",), ("a", "in"))
    assert config.chain_reading("in") is None
    taking = config.chain_taking("in")
    assert taking is not None
    assert taking.name == "main"
    assert config.chain_taking("elsewhere") is None


def test_the_rules_of_a_list_are_those_of_its_enabled_chain() -> None:
    """Of several disabled ones, those of the first."""
    off = {"ingress_lists": ["in"], "enabled": 0}
    for chains, name in (
        ({"old": off, "new": {"ingress_lists": ["in"]}}, "new"),
        ({"new": {"ingress_lists": ["in"]}, "old": off}, "new"),
        ({"first": off, "second": off}, "first"),
    ):
        taking = parsed(**chains).chain_taking("in")
        assert taking is not None
        assert taking.name == name


def test_an_unknown_list_has_no_reader() -> None:
    """An unknown list has no reader."""
    assert parsed(main={"ingress_lists": ["in"]}).chain_reading("other") is None


def test_enabled_chains() -> None:
    """The enabled chains are those that are not switched off."""
    config = parsed(on={}, off={"enabled": 0}, also={"enabled": 1})
    assert [chain.name for chain in config.enabled_chains] == ["on", "also"]
