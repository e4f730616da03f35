"""Values as text."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from markupsafe import Markup

from http_api.console import words
from http_api.console.rendering import address, exact, when

NOW = datetime(2026, 11, 30, 12, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("plain", "plain"),
        ("a\x00b\x1b[31m", "a\\x00b\\x1b[31m"),
        ("abc\u202egpj.exe", "abc\\u202egpj.exe"),
        ("\u2066x\u2069\u200b\ufeff", "\\u2066x\\u2069\\u200b\\ufeff"),
        ("line\nnext\ttab", "line\nnext\ttab"),
        ("\ud800", "\\ud800"),
        ("שלום", "שלום"),
        (None, ""),
        (7, 7),
    ],
)
def test_hidden_characters_are_seen(given: object, shown: object) -> None:
    """Those that hide or turn round what stands beside them."""
    assert words.shown(given) == shown


def test_a_long_text_is_cut() -> None:
    """With its length; the mark-up of a template is left alone."""
    shown = str(words.shown("x" * 10_000))
    assert len(shown) < words.LONGEST_TEXT + 40
    assert shown.endswith("… (10,000 characters)")
    assert words.shown(made := Markup("<b>" + "x" * 10_000)) is made


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, words.NONE),
        (float("inf"), words.NONE),
        (float("nan"), words.NONE),
        (10**400, words.NONE),
        (0, "0 ms"),
        (0.0123, "12 ms"),
        (0.9999, "1.0 s"),
        (1.04, "1.0 s"),
        (59.7, "1 min"),
        (61, "1 min 1 s"),
        (3600, "1 h"),
        (3605, "1 h"),
        (90_000, "1 d 1 h"),
        (-5, "-5.0 s"),
    ],
)
def test_durations(seconds: float | None, text: str) -> None:
    """The two largest units."""
    assert words.duration(seconds) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, words.NONE),
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.0 kB"),
        (1_234_567, "1.2 MB"),
        (999_950, "1.0 MB"),
        (123_456_789, "123 MB"),
        (1e19, "10000 PB"),
    ],
)
def test_sizes(value: float | None, text: str) -> None:
    """In powers of a thousand."""
    assert words.size(value) == text


def test_numbers_and_shares() -> None:
    """With commas; a small share keeps a digit behind the point."""
    assert [words.number(each, 1) for each in (None, 1234567, 0.25, 3.0)] == [
        words.NONE,
        "1,234,567",
        "0.2",
        "3",
    ]
    assert [words.share(each) for each in (None, 0, 0.004, 0.5, 1)] == [
        words.NONE,
        "0%",
        "0.4%",
        "50%",
        "100%",
    ]


@pytest.mark.parametrize(
    "value",
    [
        NOW,
        NOW.replace(tzinfo=None),
        NOW.timestamp(),
        "2026-11-30T12:00:00Z",
        NOW.astimezone(timezone(timedelta(hours=5))),
    ],
)
def test_times_are_utc(value: datetime | float | str) -> None:
    """Of every kind that results have."""
    assert words.moment(value) == NOW


@pytest.mark.parametrize("value", ["yesterday", "", 1e300, None, float("nan"), True, [], {"a": 1}])
def test_what_is_no_time(value: object) -> None:
    """A dash stands for it: a vCon's members may have any type."""
    assert words.moment(value) is None
    assert when(value) == words.NONE


def test_relative_times() -> None:
    """Before and after."""
    assert words.ago(NOW, NOW) == "now"
    assert words.ago(NOW - timedelta(seconds=5), NOW) == "5 s ago"
    assert words.ago(NOW + timedelta(minutes=3), NOW) == "in 3 min"
    assert '<time datetime="2026-11-30T12:00:00Z">' in when(NOW)


def test_names_in_addresses_are_quoted() -> None:
    """No name of a chain leads to another path or host."""
    assert address("/console/x", chain='a"/../<b>&c=d', page=None, more="") == (
        "/console/x?chain=a%22%2F..%2F%3Cb%3E%26c%3Dd"
    )
    assert address("/console/vcon/\u202e\ud800<") == "/console/vcon/%E2%80%AE%3F%3C"


def test_hidden_fields_keep_their_value() -> None:
    """Escaped, and not cut."""
    assert exact('"\u202e' + "x" * 9000) == "&#34;\u202e" + "x" * 9000
