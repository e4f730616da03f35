"""What the statement about an erasure says."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta
from typing import Any, get_args

import pytest

from pipeline.erasure.statement import MEANINGS, statement_of
from schemas.law.erasures import EXCEPTIONS, Erasure, ErasureTarget, Progress, TargetState

BEGAN = datetime(2026, 11, 30, 9, tzinfo=UTC)
ENDED = BEGAN + timedelta(hours=1)
FIRST, SECOND = "0193a5f0-0000-7000-8000-000000000001", "0193a5f0-0000-7000-8000-000000000002"


def target(state: Any, vcon: str = FIRST, name: str = "crm", **more: Any) -> ErasureTarget:
    """A destination."""
    about = {"vcon_uuid": vcon, "kind": "storage", "name": name, "state": state, "attempts": 2}
    return ErasureTarget(**about, changed_at=ENDED, **more)


def erasure(*targets: ErasureTarget, **changes: Any) -> Erasure:
    """An erasure of two vCons."""
    about: dict[str, Any] = {
        "id": "0193a5f0-0000-7000-8000-0000000000ff",
        "subject": "party",
        "state": "running",
        "vcons": [SECOND, FIRST],
        "requested_at": BEGAN,
        "updated_at": BEGAN,
        "actor": "cli:ann@house",
        "ref": "ticket of Ann",
        "hold": None,
        "targets": list(targets),
    }
    return Erasure(**about | changes)


@pytest.mark.parametrize("state", get_args(TargetState.__value__))
def test_a_state_decides_whether_there_are_exceptions(state: Any) -> None:
    """A destination that may still have a copy is one."""
    said = statement_of(erasure(target("verified"), target(state, SECOND)), ENDED)
    is_exception = state in EXCEPTIONS
    assert said["state"] == ("complete_with_exceptions" if is_exception else "complete")
    assert [each["vcon"] for each in said["exceptions"]] == ([SECOND] if is_exception else [])
    assert said["meaning"][state] == MEANINGS[state]


def test_it_names_destinations_in_order_and_nothing_of_people() -> None:
    """Neither the operator, nor the reason of a hold, nor a reference."""
    ordered = [
        target("told"),
        target("verified", name="s3"),
        target("cannot", SECOND, error="OSError"),
    ]
    said = statement_of(erasure(*reversed(ordered), hold="claim of Ann"), ENDED)
    assert [(each["vcon"], each["name"]) for each in said["destinations"]] == [
        (FIRST, "crm"),
        (FIRST, "s3"),
        (SECOND, "crm"),
    ]
    assert said["vcons"] == [FIRST, SECOND]
    assert said["count"] == {"cannot": 1, "told": 1, "verified": 1}
    assert said["destinations"][2]["error"] == "OSError"
    assert (said["requested_at"], said["ended_at"]) == (
        "2026-11-30T09:00:00+00:00",
        "2026-11-30T10:00:00+00:00",
    )
    assert "Ann" not in str(said)
    assert "house" not in str(said)


def test_nothing_known_is_not_said_to_be_deleted() -> None:
    """Of a vCon that a storage had after all it is; what cannot be asked stays an exception."""
    places = [target(state, name=state) for state in ("verified", "deleted", "cannot")]
    found = target("verified", SECOND, detail={"found": True})
    said = statement_of(erasure(*places, found, progress=Progress(unknown=[FIRST, SECOND])), ENDED)
    assert said["nothing_known"] == [FIRST]
    assert [each["state"] for each in said["destinations"]] == [
        "cannot",
        "nothing_known",
        "nothing_known",
        "verified",
    ]
    assert said["count"] == {"cannot": 1, "nothing_known": 2, "verified": 1}
    assert "nothing was known" in said["meaning"]["nothing_known"]


@pytest.mark.parametrize(
    ("begins", "told"), [(None, None), ("", "is empty"), ("2026-11-01", "begins 2026-11-01")]
)
def test_it_says_how_far_the_history_reaches(begins: str | None, told: str | None) -> None:
    """Where a vCon is older than that: links without custody are known from it."""
    said = statement_of(erasure(progress=Progress(history_from=begins)), ENDED)["not_reached"]
    assert (told is None) == ("history" not in said)
    assert (told or "") in said.get("history", "")


def test_another_version_names_those_before() -> None:
    """By the digests of their texts, in order."""
    first = statement_of(erasure(), ENDED)
    assert (first["version"], first["earlier"]) == (1, [])
    third = statement_of(erasure(statement="b", progress=Progress(earlier=["a"])), ENDED)
    digests = [hashlib.sha256(each).hexdigest() for each in (b"a", b"b")]
    assert (third["version"], third["earlier"]) == (3, digests)
