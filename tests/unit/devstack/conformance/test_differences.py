"""How the kit compares the end of a call with that of one without trouble."""

from __future__ import annotations

from typing import Any

import pytest

from devstack.conformance import documents
from devstack.conformance.host import Ran
from devstack.conformance.kit import Kit


def ended(*receipts: str) -> Ran:
    """A call that left these receipts in the vCon."""
    entries: list[dict[str, Any]] = [
        {"type": "receipt", "dialog": 0, "body": each} for each in receipts
    ]
    return Ran(vcon={"uuid": "a", "analysis": entries})


def kit(*, varies: bool) -> Kit:
    """A kit after a call without trouble; `varies`: another call left other contents."""
    found = Kit.__new__(Kit)
    vars(found).update(reference=ended("one"), _varies=varies, _secrets=("hidden-word",))
    return found


@pytest.mark.parametrize("varies", [True, False])
def test_contents_are_compared_unless_they_differ_without_trouble(varies: bool) -> None:
    """As those of receipts do, which name the uuid."""
    assert kit(varies=varies).differs(ended("one")) == ""
    assert bool(kit(varies=varies).differs(ended("other"))) is not varies


@pytest.mark.parametrize("ran", [ended(), ended("one", "two"), Ran()])
def test_entries_are_always_compared(ran: Ran) -> None:
    """A doubled or missing receipt is a difference."""
    assert kit(varies=True).differs(ran)


def test_a_difference_names_the_member_and_both_values() -> None:
    """Bounded, around the first difference, and without secrets."""
    told = kit(varies=False).differs(ended("two hidden-word"))
    assert told == "analysis[0].body: 'one' then 'two ***'"
    one = {"attachments": [{"body": "x" * 5000 + "a"}], "subject": "same"}
    two = {"attachments": [{"body": "x" * 5000 + "b"}], "subject": "same"}
    found = documents.difference(one, two)
    assert found.startswith("attachments[0].body: ...xxx")
    assert "xa' then ...xxx" in found
    assert len(found) < 200
