"""Destinations of links and storages: their limits, what they share, and what is refused."""

from typing import Any

import pytest
import yaml

from core.errors import ConfigurationError
from pipeline.config.model import Breaker, Destination
from pipeline.config.parser import PipelineConfig, parse

LINK = {"module": "links.webhook"}
STORAGE = {"module": "storage.file"}
A_MINUTE = "must be a whole number from 1 to 1000000"


def parsed(text: str) -> PipelineConfig:
    """A configuration of links only."""
    links = yaml.safe_load(text)
    return parse({"links": {name: LINK | keys for name, keys in links.items()}}, {})


def problems_of(links: Any, storages: Any = None) -> list[str]:
    """Every problem of a configuration with these links and storages."""
    whole = {name: LINK | keys for name, keys in links.items()}
    kept = {name: STORAGE | keys for name, keys in (storages or {}).items()}
    with pytest.raises(ConfigurationError) as refused:
        parse({"links": whole, "storages": kept}, {})
    return refused.value.problems


def test_without_keys_there_is_no_destination() -> None:
    """Options of the same names belong to the module."""
    config = parsed("send: {options: {max_in_flight: 3, breaker: x}}")
    assert config.links["send"].destination is None
    assert config.destinations == {}


def test_any_key_makes_a_destination_with_a_breaker() -> None:
    """It has the name of the link, unless another is given."""
    config = parsed("{a: {max_in_flight: 3}, b: {destination: there, requests_per_minute: 60}}")
    assert config.destinations == {
        "a": Destination("a", max_in_flight=3, breaker=Breaker(5, 30)),
        "there": Destination("there", requests_per_minute=60, breaker=Breaker(5, 30)),
    }


def test_steps_share_a_destination() -> None:
    """Each step has all limits, also those that another one gives."""
    config = parse(
        {
            "links": {
                "a": {**LINK, "destination": "there", "max_in_flight": 3},
                "b": {**LINK, "destination": "there", "max_in_flight": 3},
            },
            "storages": {"c": {**STORAGE, "destination": "there", "breaker": {"failures": 2}}},
        },
        {},
    )
    whole = Destination("there", 3, None, Breaker(2, 30))
    steps = [*config.links.values(), *config.storages.values()]
    assert [step.destination for step in steps] == [whole] * 3


@pytest.mark.parametrize(
    ("spelt", "failures"), [("off", 0), ("'off'", 0), ("false", 0), ("on", 5), ("{seconds: 9}", 5)]
)
def test_the_breaker_is_a_switch_or_a_mapping(spelt: str, failures: int) -> None:
    """YAML reads `off` as false."""
    [found] = parsed(f"a: {{breaker: {spelt}}}").destinations.values()
    assert found.breaker is not None
    assert found.breaker.failures == failures


def test_contradicting_limits_name_both_places() -> None:
    """The problem stands at the second one, and names the first."""
    assert problems_of(
        {
            "a": {"destination": "there", "max_in_flight": 3, "breaker": False},
            "b": {"destination": "there", "max_in_flight": 4},
        },
        {"c": {"destination": "there", "breaker": {"failures": 2}}},
    ) == [
        "links.b.max_in_flight: 4 contradicts links.a.max_in_flight: 3; both are about destination "
        "'there': give the limit once, or equally",
        "storages.c.breaker: 2 failures, 30 s contradicts links.a.breaker: off; both are about "
        "destination 'there': give the limit once, or equally",
    ]


@pytest.mark.parametrize(
    ("keys", "problem"),
    [
        ({"max_in_flight": 0}, "max_in_flight: must be a whole number from 1 to 10000"),
        ({"max_in_flight": True}, "max_in_flight: must be a whole number from 1 to 10000"),
        ({"max_in_flight": 1.5}, "max_in_flight: must be a whole number from 1 to 10000"),
        (
            {"requests_per_minute": 1e9},
            f"requests_per_minute: {A_MINUTE}",
        ),
        (
            {"requests_per_minute": "x"},
            f"requests_per_minute: {A_MINUTE}",
        ),
        ({"breaker": 5}, "breaker: must be off, or a mapping with failures and seconds"),
        ({"breaker": {"failures": 0}}, "breaker.failures: must be a whole number from 1 to 1000"),
        (
            {"breaker": {"seconds": float("inf")}},
            "breaker.seconds: must be a number of seconds above 0, at most 86400",
        ),
        ({"breaker": {"second": 5}}, "breaker.second: not a known key; did you mean 'seconds'?"),
        ({"max_inflight": 5}, "max_inflight: not a known key; did you mean 'max_in_flight'?"),
        (
            {"destination": "a\nb"},
            "destination: must be letters, digits and . : @ / + - _, at most 100",
        ),
        ({"destination": ["x"]}, "destination: must be a text, not empty"),
    ],
)
def test_wrong_values_are_refused(keys: dict[str, object], problem: str) -> None:
    """Each with its place and what it must be."""
    assert problems_of({"a": keys}) == [f"links.a.{problem}"]


def test_a_name_that_is_no_destination_needs_one() -> None:
    """The names of links and storages are free texts, those of destinations are not."""
    [problem] = problems_of({"my link": {"max_in_flight": 1}})
    assert problem.startswith('links["my link"].destination: is missing: the name of this entry')
