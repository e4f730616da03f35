from datetime import UTC, datetime
from math import inf, isfinite, nan

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.vcon.fields import epoch_seconds
from schemas.uuids import canonical_uuid

CANONICAL = "0190163d-8694-739b-aea5-966c26f8ad91"

FORMS = [
    CANONICAL,
    "0190163D-8694-739B-AEA5-966C26F8AD91",
    "0190163d8694739baea5966c26f8ad91",
    "urn:uuid:0190163d-8694-739b-aea5-966c26f8ad91",
    "URN:UUID:0190163D-8694-739B-AEA5-966C26F8AD91",
    "{0190163d-8694-739b-aea5-966c26f8ad91}",
]

NO_UUIDS = [
    "",
    "call-7",
    "../../etc/passwd",
    CANONICAL + "\n",
    " " + CANONICAL,
    CANONICAL[:-1],
    CANONICAL + "0",
    "{" + CANONICAL,
    CANONICAL + "}",
    "0190163d-8694-739b-aea5/966c26f8ad91",
    "0190163d_8694_739b_aea5_966c26f8ad91",
    "\N{ARABIC-INDIC DIGIT ZERO}" * 32,
    None,
    7,
    ["0190163d-8694-739b-aea5-966c26f8ad91"],
]

MOMENTS = [
    ("2024-05-01T10:00:00Z", 1714557600.0),
    ("2024-05-01t10:00:00z", 1714557600.0),
    ("2024-05-01T12:00:00+02:00", 1714557600.0),
    ("2024-05-01T06:00:00-0400", 1714557600.0),
    ("2024-05-01T10:00:00", 1714557600.0),
    ("2024-05-01 10:00:00.250", 1714557600.25),
    ("20240501T100000Z", 1714557600.0),
    ("2024-05-01", 1714521600.0),
    ("  2024-05-01T10:00:00Z ", 1714557600.0),
    ("2024-05-01T10:00:00.769118+00+00:00", 1714557600.769118),
    ("2016-12-31T23:59:60Z", 1483228800.0),
    ("1990-12-31T15:59:60-08:00", 662688000.0),
    ("2016-12-31t23:59:60.5z", 1483228800.5),
    ("20161231T235960Z", 1483228800.0),
    (1714557600, 1714557600.0),
    (1714557600.5, 1714557600.5),
    (1714557600500, 1714557600.5),
    ("1714557600", 1714557600.0),
    ("1969-12-31T23:59:59Z", -1.0),
    (-1, -1.0),
]

NO_MOMENTS = [
    "2016-12-31T23:59:61Z",
    "2016-12-31T23:60:00Z",
    "2016-12-31T23:59:600Z",
    "",
    "soon",
    "2024-13-01T00:00:00Z",
    "nan",
    "1e9",
    nan,
    inf,
    -inf,
    10**400,
    True,
]


@pytest.mark.parametrize("form", FORMS)
def test_every_usual_form_of_a_uuid_becomes_the_same_one(form):
    """Case, hyphens, braces and a URN prefix do not make another UUID."""
    assert canonical_uuid(form) == CANONICAL


@pytest.mark.parametrize("value", NO_UUIDS)
def test_what_is_no_uuid_is_refused(value):
    """Path characters, stray characters and wrong lengths are no UUID, nor is anything but text."""
    assert canonical_uuid(value) is None


@pytest.mark.parametrize(("value", "seconds"), MOMENTS)
def test_every_usual_form_of_a_time_is_read(value, seconds):
    """ISO 8601 with Z, an offset or none (UTC), and seconds or milliseconds since 1970."""
    assert epoch_seconds(value) == seconds


@pytest.mark.parametrize("value", [*NO_MOMENTS, None, [], {}])
def test_what_is_no_time_is_none(value):
    """Something that cannot be read as a time is told by None, never by an exception."""
    assert epoch_seconds(value) is None


@settings(max_examples=25, deadline=None, database=None)
@given(st.one_of(st.text(alphabet="0123456789-:TZ+. ", max_size=30), st.floats(), st.integers()))
def test_any_text_or_number_is_a_time_or_none(value):
    """The result is a finite number or None for every value."""
    seconds = epoch_seconds(value)
    assert seconds is None or isfinite(seconds)


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("0001-01-01T00:00:00+14:00", datetime(1, 1, 1, tzinfo=UTC)),
        ("9999-12-31T23:59:59-14:00", datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)),
    ],
)
def test_a_moment_outside_the_calendar_is_the_nearest_inside(text: str, moment: datetime) -> None:
    """It can be turned into a date again, which is what storages do with it."""
    seconds = epoch_seconds(text)
    assert seconds is not None
    assert datetime.fromtimestamp(seconds, UTC) == moment
