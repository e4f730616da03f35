"""The cheap test before numbers are compared never passes over a spelling of the number."""

from __future__ import annotations

import phonenumbers
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.operator.people.spellings import mark, may_mean
from pipeline.vcon.party_terms import normal, terms

REGIONS = ["US", "DE", "GB", "FR", "JP", "BR", "IT", "AU"]


@given(
    region=st.sampled_from(REGIONS),
    style=st.sampled_from([0, 1, 2, 3]),
    prefix=st.sampled_from(["", "tel:", "TEL:", "00", "sip:"]),
    behind=st.sampled_from(["", ";ext=12", " x 7", "@host", "\u202c"]),
)
@settings(max_examples=200, deadline=None)
def test_spellings_that_mean_the_number(region: str, style: int, prefix: str, behind: str) -> None:
    """Whatever is read as this number is compared."""
    number = phonenumbers.example_number(region)
    assert number is not None
    spelling = prefix + phonenumbers.format_number(number, style) + behind
    for form in terms("tel", spelling, region):
        assert may_mean("tel", f"tel:{spelling}", form)


@given(value=st.text(max_size=40))
@settings(max_examples=200, deadline=None)
def test_any_text_is_compared_with_its_own_form(value: str) -> None:
    """Also what is no number."""
    for form in terms("tel", value, "US"):
        assert may_mean("tel", f"tel:{value}", form)


@pytest.mark.parametrize("value", ["0+", "12*34", "0043*5#"])
def test_a_code_with_signs_between_its_digits_is_compared(value: str) -> None:
    """`*`, `#` and `+` stay in the form of what is no number of a plan."""
    for form in terms("tel", value, "US"):
        assert may_mean("tel", f"tel:{value}", form)


@pytest.mark.parametrize("key", ["tel:+12015550199", "tel:(201) 555-0124", "tel:"])
def test_other_numbers_are_not_compared(key: str) -> None:
    """They are nearly all keys."""
    assert not may_mean("tel", key, "+12015550123")


def test_letters_and_other_fields_are_always_compared() -> None:
    """A number may be spelled with letters; names are cheap to compare."""
    assert may_mean("tel", "tel:1-800-FLOWERS", normal("tel", "18003569377", "US"))
    assert may_mean("name", "name:x", "y")


def test_a_mark_says_nothing_of_the_key() -> None:
    """Also of one that is no UTF-8."""
    assert len({mark("tel:+1"), mark("tel:+2"), mark("tel:\udcff")}) == 3
    assert "1" * 8 not in mark("tel:" + "1" * 8)
