"""Pauses over the operations table: what is audited, and what is refused before anything is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from core.errors import InvalidError, UnavailableError
from pipeline.redis_client import keys

if TYPE_CHECKING:
    from tests.integration.support.operator_scene import OperatorScene


async def test_a_pause_is_audited_with_its_reason(operator: OperatorScene) -> None:
    """By the chain, with the seconds that it was given."""
    given: dict[str, Any] = {"chain": "main", "for": 3600}
    await operator.perform("pause", "the CRM is down", **given)
    events: Any = await operator.perform("audit", limit=1)
    [event] = events.events
    assert (event.action, event.target, event.actor) == ("pause", "main", "test")
    assert event.detail == {"seconds": 3600, "reason": "the CRM is down"}


@pytest.mark.parametrize(
    ("name", "arguments", "place"),
    [
        ("pause", {"chain": "main", "for": 0}, "for"),
        ("pause", {"chain": "main", "for": float("nan")}, "for"),
        ("pause", {"chain": "main", "for": "an hour"}, "for"),
        ("pause", {"chain": "main", "until": 5}, "until"),
        ("pause", {"chain": ""}, "chain"),
        ("pause", {"chain": ["main"]}, "chain"),
        ("pause", {"chain": "x" * 1000}, "chain"),
        ("pause", {"chain": "\ud800"}, "chain"),
        ("drain", {"replica": "a", "wait": 1e9}, "wait"),
        ("drain", {}, "replica"),
        ("replicas", {"held": 1000}, "held"),
    ],
)
async def test_wrong_arguments_are_named(
    operator: OperatorScene, name: str, arguments: dict[str, Any], place: str
) -> None:
    """Nothing is written."""
    with pytest.raises(InvalidError) as refused:
        await operator.perform(name, "why", **arguments)
    assert [each.partition(":")[0] for each in refused.value.problems] == [place]
    assert not operator.redis.exists(keys.PAUSED, keys.DRAINED)


async def test_without_the_audit_nothing_is_changed(
    operator: OperatorScene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Postgres is away; what is paused can be read all the same."""
    await operator.perform("pause", "why", chain="main")
    monkeypatch.setenv("POSTGRES_PORT", "1")
    with pytest.raises(UnavailableError):
        await operator.perform("resume", "why", chain="main")
    told: Any = await operator.perform("pauses")
    assert [each.chain for each in told.paused] == ["main"]
