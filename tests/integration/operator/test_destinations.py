"""Destinations as operators see them, and the try while a breaker is open."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from core.errors import UnknownNameError
from pipeline.redis_client import keys

if TYPE_CHECKING:
    from tests.integration.support.operator_scene import OperatorScene

CONFIG = """
links:
  a: {module: links.webhook, destination: there, max_in_flight: 20, requests_per_minute: 600}
  b: {module: links.webhook, destination: there}
storages:
  c: {module: storage.file, breaker: off}
chains:
  main: {ingress_lists: [in]}
"""
CHANGE = "--yes --reason 'the quota is raised'"


@pytest.fixture(autouse=True)
def limited(operator: OperatorScene) -> None:
    """A configuration with two destinations, of which one has failed."""
    operator.config.write_text(CONFIG)
    now = int(operator.redis.time()[0]) * 1000
    state = {"open": now + 3_600_000, "failures": 5, "mean": "250.0", "error": "TimeoutError: slow"}
    state |= {"since": "2026-11-30T08:00:00+00:00", "failed_at": "2026-11-30T08:00:00+00:00"}
    operator.redis.hset(keys.destination("there"), mapping=state)
    operator.redis.zadd(keys.slots("there"), {"x": now + 60_000, "run out": now - 1})
    operator.redis.zadd(keys.parked("there"), {"in\none": now + 3_600_000})
    operator.redis.zadd(keys.LATER, {"in\none": now + 3_600_000})


async def test_all_that_is_known_is_shown(operator: OperatorScene) -> None:
    """Of each destination of the configuration; the exit code is 1 while one is open."""
    found: Any = await operator.perform("destinations")
    there, shelf = found.destinations
    assert (there.name, there.state, there.in_flight, there.max_in_flight) == (
        "there",
        "open",
        1,
        20,
    )
    assert (there.requests_per_minute, there.waiting, there.failures) == (600, 1, 5)
    assert (there.error, there.mean) == ("TimeoutError: slow", 0.25)
    assert there.steps == ["link a", "link b"]
    assert 3500 < there.open_for <= 3600
    assert (shelf.name, shelf.state, shelf.waiting) == ("c", "no breaker", 0)
    status: Any = await operator.perform("status")
    assert "destination there is not called" in "".join(each.text for each in status.causes)
    ran = await operator.cli("destinations")
    assert ran.code == 1
    assert all(text in ran.out for text in ("there", "1/20", "600", "TimeoutError: slow", "link b"))


async def test_a_try_brings_the_first_run_back(operator: OperatorScene) -> None:
    """To the head of its list, audited; a closed breaker stays as it is."""
    ran = await operator.cli(f"close-breaker there {CHANGE}")
    assert ran.code == 0, ran.err
    assert "the next run tries there; it would have been open for " in ran.out
    assert operator.redis.lrange("in", 0, -1) == ["one"]
    assert not operator.redis.exists(keys.LATER)
    found: Any = await operator.perform("destinations")
    assert found.destinations[0].state == "half-open"
    ran = await operator.cli(f"close-breaker c {CHANGE}")
    assert ran.out == "the breaker of c was closed; nothing was changed\n"
    events: Any = await operator.perform("audit", limit=2)
    assert [(each.action, each.target) for each in events.events] == [
        ("close_breaker", "c"),
        ("close_breaker", "there"),
    ]


async def test_names_are_those_of_the_configuration(operator: OperatorScene) -> None:
    """Others are refused before Redis is asked."""
    with pytest.raises(UnknownNameError, match="known: c, there"):
        await operator.perform("close_breaker", "why", destination="elsewhere")


async def test_a_key_of_another_type_is_told(operator: OperatorScene) -> None:
    """The others are shown all the same."""
    operator.redis.set(keys.parked("c"), "another program's")
    found: Any = await operator.perform("destinations")
    assert [each.state for each in found.destinations] == ["open", "unusable"]
    assert found.destinations[1].error.startswith("WRONGTYPE pc:parked:c is no zset")
