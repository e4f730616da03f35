"""Fields of the minutes hold any name, and what is no counter is left out."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.minutes.fields import LONGEST_NAME, Field, shortened
from pipeline.minutes.histogram import Histogram, summed
from pipeline.minutes.reading import read_minute

NAMES = st.lists(st.text(st.characters(), max_size=300), min_size=1, max_size=2)
"""Any characters, control characters and lone surrogates included."""


@given(NAMES)
def test_a_field_has_any_names(names: list[str]) -> None:
    """In ASCII without a line break, bounded, and read back as it was."""
    field = Field("link", "ok", "0.5", tuple(names))
    assert field.text.isascii()
    assert "\n" not in field.text
    assert Field.read(field.text) == field._replace(names=tuple(map(shortened, names)))


def test_a_name_is_bounded() -> None:
    """A name of a megabyte takes up no more room than `LONGEST_NAME` characters."""
    long = "x" * 10**6
    assert len(Field("run", "done", "us", (long,)).text) < LONGEST_NAME + 20
    assert shortened(long) != shortened(long + "y")
    assert shortened(shortened(long)) == shortened(long)


@pytest.mark.parametrize(
    "text",
    [
        *("", "run", "run done us", "run done us x", 'run done us {"a": 1}', "run done us []"),
        *('run done us "a"', 'run done soon ["a"]', 'run done nan ["a"]', "run done us 1"),
        *('run done -1 ["a"]', 'run done 0 ["a"]'),
        *("batch 0a1b", "run done us " + "[" * 100_000),
    ],
)
def test_another_field_is_no_counter(text: str) -> None:
    """Marks of batches, and what other programs write, are left out."""
    assert Field.read(text) is None
    assert read_minute(7, {text: "1"}) == read_minute(7, {})


@pytest.mark.parametrize("value", ["", "x", "1.5", "--1", "-1", "9" * 40, "1e3", " 1"])
def test_another_value_is_no_count(value: str) -> None:
    """A value that is no whole number of a possible size counts as nothing."""
    assert read_minute(7, {'run done 0.5 ["a"]': value}) == read_minute(7, {})


def test_a_minute_is_read() -> None:
    """Buckets of any bound, sums, numbers and samples."""
    minute = read_minute(
        7,
        {
            'run done 0.5 ["a"]': "2",
            'run done inf ["a"]': "1",
            'run done 0.3 ["a"]': "4",
            'run done us ["a"]': "2500000",
            'run failed 0.5 ["a"]': "1",
            'waiting - n ["in"]': "12",
            'partner accepted n ["k"]': "3",
        },
    )
    done = minute.outcomes("run", "a")["done"]
    assert done == Histogram({0.5: 2, float("inf"): 1, 0.3: 4}, 2.5)
    assert summed(minute.outcomes("run", "a").values()).count == 8
    assert (minute.sample("waiting", "in"), minute.sample("waiting", "else")) == (12, None)
    assert minute.numbers["partner"]["k",] == {"accepted": 3}
    assert minute.outcomes("run", "b") == {}
