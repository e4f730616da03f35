"""What a batch of notes says about each vCon, however odd the documents are."""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime
from typing import Any

import pytest

from pipeline.stored.notes import PATHS, changes_of
from pipeline.stored.term_keys import TermKeys

CLEAR = TermKeys(("secret",), clear=True)
HASHED = TermKeys(("secret", "earlier"))
ONE, TWO = (f"00000000-0000-4000-8000-00000000000{n}" for n in "12")
NOON = datetime(2026, 11, 30, 12, tzinfo=UTC)
MS = int(NOON.timestamp() * 1000)


def members(**values: list[Any]) -> str:
    """The members that a script reads from a document."""
    named = {path: values.get(path.rpartition(".")[2], []) for path in PATHS}
    return json.dumps(named)


def note(vcon: str = ONE, told: dict[str, Any] | None = None, text: str = "", ms: Any = MS) -> str:
    """One note."""
    return f"{json.dumps(told or {'chain': 'main', 'storages': ['shelf']})}\n{ms}\n{vcon}\n{text}"


def test_a_run_says_where_a_vcon_is_and_by_whom_it_is_found() -> None:
    """Chain, storages, the time of creation, and normalised terms."""
    text = members(created_at=["2026-11-21T12:00:00Z"], tel=["(201) 555-0123"], name=["ANN"])
    [change] = changes_of([note(text=text)], CLEAR, "US")
    assert (change.vcon_uuid, change.at) == (ONE, NOON)
    assert change.created_at == datetime(2026, 11, 21, 12, tzinfo=UTC)
    assert (change.chains, change.storages) == (["main"], ["shelf"])
    assert change.terms == ["tel:+12015550123", "name:ann"]


def test_a_document_that_is_gone_is_found_by_its_search_keys() -> None:
    """`pc:about` still has those."""
    [change] = changes_of([note(text='["tel:2015550123", "pc:locks", 7]')], CLEAR, "US")
    assert (change.created_at, change.terms) == (None, ["tel:+12015550123"])


def test_notes_about_one_vcon_become_one_change() -> None:
    """Another chain, then a removal from one storage."""
    again = {"chain": "next", "storages": ["shelf", "files"]}
    notes = [note(), note(TWO), note(told=again, ms=MS + 5), note(told={"removed": ["shelf"]})]
    first, second = changes_of(notes, CLEAR, "US")
    assert (first.chains, first.storages) == (["main", "next"], ["files"])
    assert (first.removed, first.gone) == (["shelf"], True)
    assert (second.vcon_uuid, second.gone) == (TWO, False)


def test_what_is_stored_after_a_removal_is_there() -> None:
    """The order of notes is that of the events."""
    [change] = changes_of([note(told={"removed": ["shelf"]}), note()], CLEAR, "US")
    assert (change.storages, change.removed, change.gone) == (["shelf"], [], False)


def test_terms_are_hashes_that_only_the_secret_makes() -> None:
    """A number is not in its hash, and searches look for those of earlier secrets too."""
    [change] = changes_of([note(text=members(tel=["+12015550123"]))], HASHED, "US")
    [term] = change.terms
    sought = HASHED.sought("tel", "+12015550123")
    assert term == sought[0] == HASHED.shown("tel", "+12015550123")
    assert len(set(sought)) == 3
    assert sought[-1] == "tel:+12015550123"
    assert len(term) == 23
    assert "555" not in term
    assert TermKeys(("earlier",)).kept("tel", "+12015550123") == sought[1]
    assert HASHED.kept("name", "+12015550123") != term


ODD: list[Any] = [None, 7, True, [], {}, "", "x" * 5000, "\x00", "\ud800", "<script>", "🙂" * 300]


@pytest.mark.parametrize("value", ODD, ids=lambda value: repr(value)[:12])
def test_members_of_any_type(value: Any) -> None:
    """Documents of other programs: what is no text is no term, and the vCon is kept anyway."""
    text = members(created_at=[value], tel=[value, "911"], mailto=[value], name=[value])
    [change] = changes_of([note(text=text)], CLEAR, "US")
    assert "tel:911" in change.terms
    assert all(len(term) < 300 for term in change.terms)
    assert change.created_at is None or value == 7  # seconds since 1970


@pytest.mark.parametrize(
    "text",
    ["", "null", "7", '"x"', "{}", '{"$.created_at": 7}', "not json", "[" * 2000, "[1e400]"],
)
def test_members_that_are_none(text: str) -> None:
    """The vCon is in the index without terms."""
    [change] = changes_of([note(text=text)], CLEAR, "US")
    assert (change.storages, change.terms) == (["shelf"], [])


@pytest.mark.parametrize(
    "text",
    ["", "x", "{}\n1", f"7\n1\n{ONE}\n", note(ms="x"), note(ms=10**30), note(told={"chain": []})],
)
def test_a_note_that_cannot_be_read_is_left_out(
    text: str, caplog: pytest.LogCaptureFixture
) -> None:
    """The others are kept; the warning has no content of the note."""
    with caplog.at_level(logging.WARNING):
        [change] = changes_of([text, note(TWO)], CLEAR, "US")
    assert change.vcon_uuid == TWO
    assert len(caplog.records) == 1


def test_what_is_no_vcon_is_left_out() -> None:
    """Another program may have queued any text; no row can hold it."""
    assert changes_of([note("no uuid"), note("<b>")], CLEAR, "US") == []
