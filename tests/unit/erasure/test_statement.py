"""What the statement about an erasure says."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from pipeline.erasure.statement import MEANINGS, statement_of
from schemas.law.erasures import EXCEPTIONS, Erasure, ErasureTarget

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


@pytest.mark.parametrize("state", MEANINGS)
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
