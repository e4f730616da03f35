"""How long a chain waits before it tries a vCon again."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.concurrency.backoff import no_jitter
from core.errors import ConfigurationError
from pipeline.config.model import RetryBackoff
from pipeline.config.parser import parse

SECONDS = st.floats(0.001, 10_000)


def read(value: object) -> RetryBackoff:
    """What a chain's `retry_backoff` is taken for."""
    return parse({"chains": {"main": {"retry_backoff": value}}}, {}).chains["main"].retry_backoff


def test_pauses_double_from_a_second_to_five_minutes() -> None:
    """So a vendor that is away for two seconds uses up no more than two of three attempts."""
    pauses = [RetryBackoff().pause(attempt, no_jitter) for attempt in range(1, 12)]
    assert pauses == [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300]


@given(SECONDS, SECONDS, st.integers(1, 10_000), st.floats(0, 1))
def test_jitter_lengthens_by_up_to_a_quarter(
    one: float, other: float, attempt: int, jitter: float
) -> None:
    """And no pause is longer than the most."""
    backoff = RetryBackoff(*sorted((one, other)))
    pause, plain = backoff.pause(attempt, lambda: jitter), backoff.pause(attempt, no_jitter)
    assert plain <= pause <= min(plain * 1.25, backoff.max)


@pytest.mark.parametrize(
    ("value", "backoff"),
    [
        (None, RetryBackoff(1, 300)),
        ({}, RetryBackoff(1, 300)),
        (5, RetryBackoff(5, 300)),
        (600, RetryBackoff(600, 600)),
        ({"first": 0.5}, RetryBackoff(0.5, 300)),
        ({"first": 0.5, "max": 2}, RetryBackoff(0.5, 2)),
        ({"max": 60}, RetryBackoff(1, 60)),
    ],
)
def test_it_is_read_from_the_chain(value: object, backoff: RetryBackoff) -> None:
    """A number is the first pause."""
    assert read(value) == backoff


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        ("soon", "chains.main.retry_backoff: must be a number of seconds above 0"),
        (0, "chains.main.retry_backoff: must be a number of seconds above 0"),
        ([1], "chains.main.retry_backoff: must be a number of seconds above 0"),
        ({"first": -1}, "chains.main.retry_backoff.first: must be a number of seconds above 0"),
        ({"first": 9, "max": 3}, "chains.main.retry_backoff: first must not be above max"),
        ({"frist": 9}, "chains.main.retry_backoff.frist: not a known key; did you mean 'first'?"),
    ],
)
def test_a_mistake_is_told_with_its_place(value: Any, problem: str) -> None:
    """As every other one in the file."""
    with pytest.raises(ConfigurationError) as error:
        read(value)
    assert problem in str(error.value)
