"""The small decisions of a backup: places, pages that overlap, sets of fingerprints."""

from __future__ import annotations

import pytest

from pipeline.operator.backup.fingerprints import Fingerprints
from pipeline.operator.backup.list_reader import known
from pipeline.operator.backup.places import places_in
from pipeline.operator.backup.redis_reader import _continued, _groups, flat, place_of


def test_fingerprints_know_each_text_once() -> None:
    """Also beyond the first size of the table."""
    seen = Fingerprints()
    assert all(seen.add(f"text {n}") for n in range(5000))
    assert not any(seen.add(f"text {n}") for n in range(5000))
    assert len(seen) == 5000
    assert seen.add("\udcff")
    assert not seen.add("\udcff")


@pytest.mark.parametrize(
    ("before", "page", "expected"),
    [
        ("", "abc", 0),
        ("def", "abcd", 1),
        ("def", "bcde", 2),
        ("def", "abc", 0),
        ("defgh", "efg", 3),
        ("aaaa", "aaaa", 1),
        ("daaa", "xyzd", 1),
    ],
)
def test_entries_of_the_page_before_are_dropped_only_where_both_agree(
    before: str, page: str, expected: int
) -> None:
    """If in doubt, an entry is restored twice."""
    assert known(before, page) == expected


def test_places_are_read_from_each_kind_of_key() -> None:
    """What is not as this service writes it is no place."""
    assert places_in("pc:suspects:in", ["a"]) == [("in", "a")]
    assert places_in("pc:lease:out", ["a"]) == [("out", "a")]
    assert places_in("pc:waiting:a", ["in\na", "x", "\na", "in\n"]) == [("in", "a")]
    assert places_in("pc:later", ["run:c\na|r"]) == [("run:c", "a|r")]
    assert places_in("pc:inflight:w", ["7\nr\nin\na", "8", "8\nr\nin"]) == [("in", "a")]


def test_a_hold_says_which_element_belongs_into_which_list() -> None:
    """A run list's hold has the run."""
    assert place_of("a", "in") == ("in", "a")
    assert place_of("a", "run:c|r") == ("run:c", "a|r")
    assert place_of("a", "run:c") == ("run:c", "a")
    assert place_of("a", "odd|list") == ("odd|list", "a")


def test_a_claim_is_continued_as_the_same_attempt() -> None:
    """The number and the mark of a suspect stay."""
    assert _continued("", "r") == "0\nr\n0"
    assert _continued("2\nr\n1", "r") == "2\nr\n1"
    assert _continued("another program's", "r") == "0\nr\n0"


def test_large_documents_are_read_alone() -> None:
    """Small ones together."""
    assert _groups(["a", "b", "c", "d"], [10, 10, 500_000, 10]) == [["a", "b"], ["c"], ["d"]]
    assert _groups([], []) == []


def test_replies_of_both_versions_of_the_protocol_are_the_same() -> None:
    """Pairs, mappings, and lists that are flat already."""
    assert flat({"a": "1"}) == ["a", "1"]
    assert flat([["a", 1.5]]) == ["a", 1.5]
    assert flat(["a", "1"]) == ["a", "1"]
    assert flat(set()) == []
