"""`ingress_auth`: the keys of each list, and that no message ever shows one."""

from typing import Any

import pytest

from core.errors import ConfigurationError
from pipeline.config.parser import PipelineConfig, parse
from schemas.ingress_key import ConfiguredKey

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
    assert parsed(
        calls="first-partner-key", leads=["second-partner-key", "third-partner-key"]
    ).ingress_auth == {
        "calls": ("first-partner-key",),
        "leads": ("second-partner-key", "third-partner-key"),
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


@pytest.mark.parametrize("keys", [12345, True])
def test_keys_are_a_text_or_a_list(keys: object) -> None:
    """Anything else below a list's name is an error that does not quote it."""
    assert problems_of(calls=keys) == [
        "ingress_auth.calls: must be a key or a list of keys, each a text or a mapping with `key`"
    ]


def test_one_key_for_two_lists() -> None:
    """A key that two lists share is an error that gives both positions and not the key."""
    assert problems_of(calls=["other-partner-key", SECRET], leads=SECRET) == [
        "ingress_auth.leads: the same key as ingress_auth.calls[1]; give each list its own"
    ]


def test_one_key_twice_in_a_list() -> None:
    """A key repeated in its own list is remarked and kept once."""
    config = parsed(calls=[SECRET, "other-partner-key", SECRET])
    assert config.ingress_auth["calls"] == (SECRET, "other-partner-key")
    assert config.notes == ("ingress_auth.calls[2]: the same key as ingress_auth.calls[0]",)


def test_a_key_for_a_list_without_a_reader() -> None:
    """A key for an unread list is remarked; it is not an error."""
    config = parsed(others=SECRET)
    assert config.notes == ("ingress_auth.others: no enabled chain reads this list",)
    assert config.ingress_auth == {"others": (SECRET,)}


def test_an_empty_key_from_the_environment() -> None:
    """A variable that is set to nothing does not make a key that an empty header would match."""
    with pytest.raises(ConfigurationError, match=r"ingress_auth\.calls: a key must be"):
        parse({"chains": CHAINS, "ingress_auth": {"calls": "${KEY}"}}, {"KEY": ""})


SHORT = "fifteen-letters"


@pytest.mark.parametrize("keys", [SHORT, [SHORT], {"key": SHORT}, [{"key": SHORT, "label": "x"}]])
def test_a_short_key_is_an_error_that_names_the_setting(keys: object) -> None:
    """As in vcon-server's documents; the key is not repeated."""
    [problem] = problems_of(calls=keys)
    assert problem.endswith(
        ": a key must have at least 16 characters, and this one has 15;"
        " ALLOW_WEAK_KEYS=true allows it, for development only"
    )
    assert SHORT not in problem
    weak = {"chains": CHAINS, "ingress_auth": {"calls": keys}}
    assert parse(weak, {}, weak_keys=True).ingress_auth == {"calls": (SHORT,)}
    assert parsed(calls=SHORT + "1").ingress_auth == {"calls": (SHORT + "1",)}


def test_keys_with_labels_and_limits() -> None:
    """Mappings beside texts; what a mapping leaves out is as for a text."""
    first = {"key": SECRET, "label": "Acme", "requests_per_minute": 60, "max_vcon_bytes": 1000}
    config = parsed(calls=[first, "other-partner-key"], leads={"key": "third-partner-key"})
    assert config.ingress_auth == {
        "calls": (SECRET, "other-partner-key"),
        "leads": ("third-partner-key",),
    }
    assert config.ingress_keys == {
        SECRET: ConfiguredKey(label="Acme", requests_per_minute=60, max_vcon_bytes=1000),
        "third-partner-key": ConfiguredKey(),
    }
    assert SECRET not in repr(config)


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"label": "x"}, ": a key must be a text, quoted and not empty"),
        ({"key": 5}, ": a key must be a text, quoted and not empty"),
        ({"key": SECRET, "requests_per_minute": 0}, ".requests_per_minute: must be a whole number"),
        ({"key": SECRET, "requests_per_minute": "x"}, ".requests_per_minute: must be a whole"),
        ({"key": SECRET, "label": ""}, ".label: must be a text, not empty"),
        ({"key": SECRET, "lable": "x"}, ".lable: not a known key; did you mean 'label'?"),
    ],
)
def test_what_is_wrong_with_a_mapping(given: dict[str, Any], told: str) -> None:
    """Each mistake at its place."""
    [problem] = problems_of(calls=[given])
    assert problem.startswith(f"ingress_auth.calls[0]{told}")
    assert SECRET not in problem


def signed(secret: object) -> dict[str, Any]:
    """A key with a signing secret."""
    return {"key": SECRET, "signing_secret": secret}


def test_a_signing_secret() -> None:
    """It is among the details of its key; its text is in no representation."""
    config = parsed(calls=signed("a-secret-that-signs"))
    assert config.ingress_keys[SECRET].signing_secret == "a-secret-that-signs"
    assert "a-secret-that-signs" not in f"{config!r}{config.ingress_keys!r}{config.notes}"


@pytest.mark.parametrize(
    ("secret", "problem"),
    [
        ("", "must be a text, not empty"),
        (12345, "must be a text, not empty"),
        (["a-secret-that-signs"], "must be a text, not empty"),
        ("short", "a signing_secret must have at least 16 characters, and this one has 5;"),
        (" " * 20, "a signing_secret must have at least 16 characters, and this one has 0;"),
    ],
)
def test_a_signing_secret_is_a_long_text(secret: object, problem: str) -> None:
    """A wrong one is an error at its place that does not quote it."""
    [told] = problems_of(calls=[signed(secret)])
    assert told.startswith(f"ingress_auth.calls[0].signing_secret: {problem}")
    assert "a-secret" not in told
    assert "12345" not in told


def test_without_its_variable_the_key_opens_nothing() -> None:
    """It would open its list without a signature."""
    document = {"chains": CHAINS, "ingress_auth": {"unread": signed("${NOT_THERE}")}}
    config = parse(document, {})
    assert config.ingress_auth == {"unread": ()}
    assert any("NOT_THERE" in note for note in config.notes)
