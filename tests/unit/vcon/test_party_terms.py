"""One form for every spelling of a number, an address or a name."""

from __future__ import annotations

import subprocess
import sys
import unicodedata

import phonenumbers
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.vcon.party_terms import FIELDS, LONGEST, Field, normal, party_terms, split, terms

SPELLINGS = [
    "+12015550123",
    "+1 (201) 555-0123",
    "tel:+1-201-555-0123",
    "TEL:+1.201.555.0123",
    "tel:%2B1%20201%20555%200123",
    "tel:555-0123;phone-context=+1-201",
    "sip:+12015550123@sip.example.org;user=phone",
    "2015550123",
    "201/555 0123",
    "1 201 555 0123",
    "001 201 555 0123",
    "\u202a+1\u00a0201\u00a0555\u00a00123\u202c",
    "２０１－５５５－０１２３",  # noqa: RUF001 -- as some keyboards write it
    "٢٠١٥٥٥٠١٢٣",
    "+1 201 555 0123\r\n",
]


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_every_spelling_of_a_number_has_one_form(spelling: str) -> None:
    """Schemes, brackets, prefixes, marks of direction and other digits do not matter."""
    assert terms("tel", spelling, "US") == ["+12015550123"]


@pytest.mark.parametrize(
    ("region", "spelling", "form"),
    [
        ("US", "0049 30 123456", "+4930123456"),
        ("US", "011 49 30 123456", "+4930123456"),
        ("US", "+49 (0)30 123456", "+4930123456"),
        ("DE", "030 123456", "+4930123456"),
        ("DE", "00 1 201 555 0123", "+12015550123"),
        ("GB", "020 7946 0018", "+442079460018"),
        ("IT", "06 698 1234", "+39066981234"),  # a zero that stays
    ],
)
def test_numbers_of_other_countries(region: str, spelling: str, form: str) -> None:
    """A number without a country code is one of the default region."""
    assert normal("tel", spelling, region) == form


@pytest.mark.parametrize("spelling", ["911", "1001", "*72", "#31#"])
def test_short_numbers_keep_their_digits(spelling: str) -> None:
    """What no numbering plan has is compared as it is dialled."""
    assert terms("tel", f" tel:{spelling} ", "US") == [spelling]


def test_a_sender_without_a_number_keeps_its_letters() -> None:
    """SMS come from names, too."""
    assert terms("tel", "tel:MyBank", "US") == ["mybank"]


@pytest.mark.parametrize(
    ("spelling", "form"),
    [
        ("SIP:Ann2@Pbx.example;transport=tcp", "ann2@pbx.example"),
        ("sip:bob2@pbx.example", "bob2@pbx.example"),
        ('"Ann" <sips:ann@pbx.example>', "ann@pbx.example"),
        ("sip:ann@b\u00fccher.example", "ann@xn--bcher-kva.example"),
        ("sip:4711@pbx.example", "4711"),
        ('"Ann" <sip:+12015550123@pbx.example;user=phone>', "+12015550123"),
        ("sip:ann2015550123@pbx.example", "ann2015550123@pbx.example"),
        ("skype:ann2", "skype:ann2"),
        ("O2", "o2"),
        ("x12", "12"),
        ("ext. 12", "12"),
    ],
)
def test_a_name_with_a_digit_is_not_the_number_of_this_digit(spelling: str, form: str) -> None:
    """Nor is a user the one of the same name at another host: an erasure would be another's."""
    assert terms("tel", spelling, "US") == [form]


@pytest.mark.parametrize("spelling", ["201-555-0123 ext. 12", "tel:+1-201-555-0123;ext=12"])
def test_an_extension_is_found_with_it_and_without(spelling: str) -> None:
    """A search for the number finds it; the form with it comes first, and is what is searched."""
    assert terms("tel", spelling, "US") == ["+12015550123;ext=12", "+12015550123"]


@pytest.mark.parametrize(
    ("spelling", "form"),
    [
        ("mailto:Ann@Example.ORG", "ann@example.org"),
        ("MAILTO:ann@example.org?subject=Hi%20there", "ann@example.org"),
        ('"Ann, B." <ANN@example.org>', "ann@example.org"),
        ("ann@Bücher.example.", "ann@xn--bcher-kva.example"),
        ("ann@xn--bcher-kva.example", "ann@xn--bcher-kva.example"),
        ("Ann%2Bx@example.org", "ann+x@example.org"),
        ("no address", "no address"),
        ("a@" + "b" * 80, "a@" + "b" * 80),
    ],
)
def test_mail_addresses(spelling: str, form: str) -> None:
    """In lower case with the domain in ASCII; what is no address is compared as it is."""
    assert terms("mailto", spelling, "US") == [form]


@pytest.mark.parametrize(
    ("spelling", "form"),
    [
        ("  José\tMÜLLER ", "josé müller"),
        ("Jose\u0301 Müller", "josé müller"),
        ("STRASSE", "strasse"),
        ("Straße", "strasse"),
        ("ﬁona", "fiona"),
        ("<b>Ann</b>", "<b>ann</b>"),
        ("\x00\x1b[31mAnn\u202e\ud800", "[31mann"),
    ],
)
def test_names(spelling: str, form: str) -> None:
    """Case, width and composition do not matter; accents do, and nothing is interpreted."""
    assert terms("name", spelling, "US") == [form]
    assert normal("name", "Jose", "US") != normal("name", "José", "US")


@given(
    field=st.sampled_from(FIELDS),
    value=st.text(max_size=400),
    region=st.sampled_from(["US", "DE"]),
)
@settings(max_examples=300, deadline=None)
def test_forms_of_any_text(field: Field, value: str, region: str) -> None:
    """A form is its own form, bounded, and has no character that Postgres or a terminal refuses."""
    form = normal(field, value, region)
    assert normal(field, form, region) == form
    assert len(form) <= LONGEST
    assert not {unicodedata.category(each) for each in form} & {"Cc", "Cf", "Cs"}


@given(
    region=st.sampled_from(["US", "DE", "GB", "FR", "JP", "BR", "IT", "AU"]),
    style=st.sampled_from([0, 1, 2, 3]),
    own=st.booleans(),
)
@settings(max_examples=100, deadline=None)
def test_formats_of_a_number(region: str, style: int, own: bool) -> None:
    """A number in any of the formats of its plan, written abroad or at home, has one form."""
    number = phonenumbers.example_number(region)
    assert number is not None
    if style == phonenumbers.PhoneNumberFormat.NATIONAL:
        own = True
    wanted = phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
    assert (
        normal("tel", phonenumbers.format_number(number, style), region if own else "US") == wanted
    )


def test_terms_of_parties_come_once() -> None:
    """Two parties with one number have one term."""
    told = [("tel", "+1 201 555 0123"), ("tel", "2015550123"), ("name", "Ann"), ("name", "\x00")]
    assert party_terms(told, "US") == [("tel", "+12015550123"), ("name", "ann")]  # type: ignore[arg-type]


def test_search_terms_are_split_at_the_field() -> None:
    """`tel:tel:+1` is the value `tel:+1`; other keys are no terms."""
    assert split("tel:tel:+1") == ("tel", "tel:+1")
    assert [split(text) for text in ("pc:locks", "name:", "name", "")] == [None] * 4


def test_workers_do_not_load_the_metadata() -> None:
    """`phonenumbers` is loaded by the first number, not by an import."""
    script = (
        "import sys; import app.bootstrap_worker; import pipeline.vcon.party_terms as terms;"
        "assert 'phonenumbers' not in sys.modules; terms.normal('tel', '1', 'US');"
        "assert 'phonenumbers' in sys.modules"
    )
    subprocess.run([sys.executable, "-c", script], check=True)
