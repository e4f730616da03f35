"""What of a vCon a trial compares, and what is taken out of it; values of any type."""

from __future__ import annotations

from typing import Any

import pytest

from pipeline.operator.trial.views import (
    LONGEST_LABEL,
    MOST_ENTRIES,
    PARTS,
    differences,
    less,
    made,
    view,
    without,
)

TAGS = {"purpose": "tags", "body": '["a:1", "b:2"]', "encoding": "json"}
OLD_TAGS = {"type": "tags", "body": ["c:3"]}
NOTE = {"purpose": "note", "party": 0, "body": "hello"}
SUMMARY = {"type": "summary", "dialog": 0, "vendor": "x", "body": "short"}


def document(**members: Any) -> dict[str, Any]:
    """A vCon with these members."""
    return {"uuid": "1", "attachments": [TAGS, NOTE, OLD_TAGS], "analysis": [SUMMARY]} | members


def labels(found: dict[str, list[tuple[str, str]]], part: str) -> list[str]:
    """The labels of a part."""
    return [label for label, _ in found[part]]


def test_entries_have_labels_without_their_bodies() -> None:
    """Tags are compared one by one, of all attachments that have any."""
    found = view(document(subject="secret"))
    assert labels(found, "tags") == ["a:1", "b:2", "c:3"]
    assert labels(found, "attachments") == ["note (party 0)"]
    assert labels(found, "analysis") == ["summary (dialog 0, vendor x)"]
    assert labels(found, "members") == ["subject"]
    assert "short" not in repr(found)
    assert "secret" not in repr(found)


def test_a_changed_body_is_one_change() -> None:
    """Of entries with the same label; others are added or removed."""
    before = view(document())
    after = view(document(analysis=[SUMMARY | {"body": "other"}, {"type": "new"}], attachments=[]))
    assert differences(before, after) == [
        ("tags", "removed", "a:1"),
        ("tags", "removed", "b:2"),
        ("tags", "removed", "c:3"),
        ("analysis", "changed", "summary (dialog 0, vendor x)"),
        ("analysis", "added", "new"),
        ("attachments", "removed", "note (party 0)"),
    ]


def test_the_order_of_members_and_entries_does_not_count() -> None:
    """Only the content does."""
    other = document(analysis=[dict(reversed(SUMMARY.items()))])
    other["attachments"] = other["attachments"][::-1]
    assert differences(view(document()), view(other)) == []


@pytest.mark.parametrize("part", PARTS)
def test_a_part_is_left_out_and_made_again(part: Any) -> None:
    """What is left out of a copy is what it is said to have more; the document stays."""
    full = document(dialog=[{"type": "text"}])
    before = repr(full)
    bare = without(full, part)
    items = made(bare, full, part)
    assert items
    assert made(full, bare, part) == []
    assert differences(view(less(full, part, items)), view(bare)) == []
    assert repr(full) == before


def test_one_of_two_equal_entries_is_left_out() -> None:
    """The last one."""
    full = document(analysis=[SUMMARY, {"type": "x"}, SUMMARY])
    assert less(full, "analysis", [SUMMARY])["analysis"] == [SUMMARY, {"type": "x"}]
    assert made(document(), full, "analysis") == [{"type": "x"}, SUMMARY]


def test_tags_that_are_left_stay_in_their_attachment() -> None:
    """An attachment that has no tags left goes."""
    rest = less(document(), "tags", ["b:2", "c:3"])["attachments"]
    assert rest == [{"purpose": "tags", "body": '["a:1"]', "encoding": "json"}, NOTE]


@pytest.mark.parametrize(
    "odd",
    [
        {},
        {"attachments": None, "analysis": 3, "dialog": "x"},
        {"attachments": [None, 3, "x", [], {}], "analysis": [None], "dialog": [[]]},
        {"attachments": [{"purpose": "tags", "body": "no json"}]},
        {"attachments": [{"purpose": "tags", "body": [None, 3, {"a": 1}, ["b"]]}]},
        {"attachments": [{"purpose": ["tags"], "type": {"x": 1}, "body": {"k": "v"}}]},
        {"analysis": [{"type": {"a": [1]}, "dialog": "\x1b[31m", "vendor": None}]},
        {"analysis": [{"type": "\ud800", "body": 2**70, "x": float("nan")}]},
        {"\x00": 1, "<b>": 2},
    ],
)
def test_values_of_any_type(odd: dict[str, Any]) -> None:
    """Other programs write what they like into a vCon."""
    assert differences(view(odd), view(odd)) == []
    for part in PARTS:
        bare = without(odd, part)
        assert made(bare, bare, part) == []
        less(odd, part, made(bare, odd, part))


def test_what_is_compared_is_bounded() -> None:
    """The number of entries, and the length of their labels."""
    found = view({"analysis": [{"type": "x" * 5000}] * (MOST_ENTRIES + 10)})
    assert len(found["analysis"]) == MOST_ENTRIES
    assert len(found["analysis"][0][0]) == LONGEST_LABEL
