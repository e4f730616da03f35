"""`ingress_auth`: the keys of each list, and that no message ever shows one."""

from typing import Any

import pytest

from core.errors import ConfigurationError
from pipeline.config import PipelineConfig, parse

SECRET = "partner-key-12345"
CHAINS = {"main": {"ingress_lists": ["calls", "leads"]}}


def parsed(**auth: Any) -> PipelineConfig:
    """A configuration with this section."""
    return parse({"chains": CHAINS, "ingress_auth": auth}, {})


def problems_of(**auth: Any) -> list[str]:
    """Every problem of this section."""
    with pytest.raises(ConfigurationError) as refused:
        parsed(**auth)
    return refused.value.problems


def test_one_key_or_several() -> None:
    """A list has one key as a text, or several as a list."""
    assert parsed(calls="one", leads=["two", "three"]).ingress_auth == {
        "calls": ("one",),
        "leads": ("two", "three"),
    }


@pytest.mark.parametrize("keys", [None, []])
def test_no_key(keys: object) -> None:
    """A list with nothing below it is opened by no key."""
    assert parsed(calls=keys).ingress_auth == {"calls": ()}


@pytest.mark.parametrize("key", ["", "  ", 5, None, ["x"], True])
def test_a_key_is_a_text_with_something_in_it(key: object) -> None:
    """An empty key, or one that is no text, is an error at its position."""
    assert problems_of(calls=[SECRET, key]) == [
        "ingress_auth.calls[1]: a key must be a text, quoted and not empty"
    ]


@pytest.mark.parametrize("keys", [12345, {"key": SECRET}, True])
def test_keys_are_a_text_or_a_list(keys: object) -> None:
    """Anything else below a list's name is an error that does not quote it."""
    assert problems_of(calls=keys) == [
        "ingress_auth.calls: must be a key or a list of keys, each a text"
    ]


def test_one_key_for_two_lists() -> None:
    """A key that two lists share is an error that gives both positions and not the key."""
    assert problems_of(calls=["other", SECRET], leads=SECRET) == [
        "ingress_auth.leads: the same key as ingress_auth.calls[1]; give each list its own"
    ]


def test_one_key_twice_in_a_list() -> None:
    """A key repeated in its own list is remarked and kept once."""
    config = parsed(calls=[SECRET, "other", SECRET])
    assert config.ingress_auth["calls"] == (SECRET, "other")
    assert config.notes == ("ingress_auth.calls[2]: the same key as ingress_auth.calls[0]",)


def test_a_key_for_a_list_nobody_reads() -> None:
    """A key for an unread list is remarked; it is not an error."""
    config = parsed(others=SECRET)
    assert config.notes == ("ingress_auth.others: no enabled chain reads this list",)
    assert config.ingress_auth == {"others": (SECRET,)}


def test_an_empty_key_from_the_environment() -> None:
    """A variable that is set to nothing does not make a key that an empty header would match."""
    with pytest.raises(ConfigurationError, match=r"ingress_auth\.calls: a key must be"):
        parse({"chains": CHAINS, "ingress_auth": {"calls": "${KEY}"}}, {"KEY": ""})
