"""A vCon is shown as text, also if its members have other types than they should."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import UnknownNameError
from http_api.console.vcon_text import MOST_SHOWN, recording_of, text_of_vcon

SOUND = bytes(range(256))
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["type", "body", "url", "parties", "name"]), inner)
    ),
    max_leaves=12,
)


def a_document(**changes: Any) -> dict[str, Any]:
    """A vCon with a recording and a text."""
    body = base64.urlsafe_b64encode(SOUND).decode().rstrip("=")
    recording = {"type": "recording", "mediatype": "audio/x-wav", "body": body}
    return {
        "subject": "an order",
        "created_at": "2026-11-21T12:00:00Z",
        "parties": [{"name": "Ann", "tel": "+15550100"}, {"mailto": "s@x.y"}, {}],
        "dialog": [
            recording | {"encoding": "base64url", "parties": [0, 1], "duration": 61},
            {"type": "text", "body": "Where is it?", "parties": 0},
            {"type": "recording", "mediatype": "audio/ogg", "url": "https://a.example/b.ogg"},
        ],
        "analysis": [{"type": "summary", "dialog": [0, 1], "vendor": "v", "body": "They met."}],
    } | changes


def test_what_is_shown() -> None:
    """Parties by their names and numbers, texts as they are, recordings by reference."""
    shown = text_of_vcon(a_document())
    assert shown.parties == ["Ann, +15550100", "s@x.y", "unnamed"]
    assert [each.parties for each in shown.dialogs] == [
        "Ann, +15550100; s@x.y",
        shown.parties[0],
        "",
    ]
    assert [each.has_media for each in shown.dialogs] == [True, False, False]
    assert [each.body for each in shown.dialogs] == ["", "Where is it?", ""]
    assert shown.dialogs[2].url == "https://a.example/b.ogg"
    assert shown.analyses[0].of == "0, 1"


@given(st.dictionaries(st.sampled_from(["parties", "dialog", "analysis", "subject"]), JSON))
def test_members_of_any_type(document: dict[str, Any]) -> None:
    """Nothing is raised."""
    text_of_vcon(document)


@given(JSON)
def test_elements_of_any_type(element: Any) -> None:
    """Nor for those of lists."""
    text_of_vcon({"parties": [element], "dialog": [element], "analysis": [element]})


def test_long_lists_are_cut() -> None:
    """A page has an end."""
    shown = text_of_vcon({"parties": [{}] * 10_000, "dialog": [{"parties": [0] * 10_000}] * 10_000})
    assert (len(shown.parties), len(shown.dialogs)) == (MOST_SHOWN, MOST_SHOWN)
    assert len(shown.dialogs[0].parties) < 10_000


@pytest.mark.parametrize(
    "url", ["javascript:alert(1)", "data:text/html,x", "//a.example", 'http://a"b', "http://a b", 7]
)
def test_no_link_to_another_scheme(url: object) -> None:
    """Only http and https are followed from a page."""
    assert text_of_vcon({"dialog": [{"url": url}]}).dialogs[0].url == ""


def test_a_recording() -> None:
    """As it was encoded, under its own type."""
    assert recording_of(a_document(), 0) == (SOUND, "audio/x-wav")


@pytest.mark.parametrize(
    "change",
    [
        {"mediatype": "text/html"},
        {"mediatype": "audio/wav\r\nx: y"},
        {"mediatype": None},
        {"encoding": "none"},
        {"body": "*"},
        {"body": 7},
        {"body": "é"},
    ],
)
def test_what_is_no_recording(change: dict[str, Any]) -> None:
    """Nothing of it is sent."""
    dialog = a_document()["dialog"][0] | change
    with pytest.raises(UnknownNameError):
        recording_of({"dialog": [dialog]}, 0)
    with pytest.raises(UnknownNameError):
        recording_of(a_document(), 3)
