"""What `/metrics` says of destinations."""

from __future__ import annotations

from typing import Any

import pytest

from core.observability.metrics import REGISTRY
from pipeline.admin.queue_depths import QueueDepths
from pipeline.config.parser import parse
from pipeline.live_config import Configuration
from pipeline.plugins.loader import Plugins
from pipeline.redis_client import keys
from pipeline.redis_client.client import RedisConnection
from tests.integration.destinations.destination_scene import Book
from tests.integration.support.pipeline_fixtures import Scene


def shown(name: str, destination: str) -> float | None:
    """The value of a gauge."""
    return REGISTRY.get_sample_value(f"patchcord_destination_{name}", {"destination": destination})


def limited(**entry: Any) -> Configuration:
    """A configuration with a link of which this is said."""
    document = {"links": {"send": {"module": "links.webhook", **entry}}}
    return Configuration(parse(document, {}), Plugins())


async def test_gauges_are_those_of_configured_destinations(scene: Scene) -> None:
    """In flight, waiting, open; what another configuration has left in Redis is not shown."""
    configuration = limited(max_in_flight=1, breaker={"failures": 1})
    now = int(scene.client.time()[0]) * 1000
    book = Book(scene.redis, configuration.config.destinations["send"], now)
    await book.enter("a")
    await book.enter("b")
    await Book(scene.redis, limited(destination="gone").config.destinations["gone"], now).enter("c")
    depths = QueueDepths(scene.redis, configuration)
    await depths.look()
    assert [shown(each, "send") for each in ("in_flight", "waiting", "open")] == [1, 1, 0]
    assert shown("in_flight", "gone") is None
    await book.leave("a", "failed")
    await depths.look()
    assert [shown(each, "send") for each in ("in_flight", "waiting", "open")] == [0, 2, 1]


async def test_without_destinations_redis_is_not_asked(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And a key of another type has no gauges."""
    asked: list[str] = []
    script = RedisConnection.script

    async def noted(self: RedisConnection, name: str, *words: Any) -> Any:
        asked.append(name)
        return await script(self, name, *words)

    monkeypatch.setattr(RedisConnection, "script", noted)
    await QueueDepths(scene.redis, limited()).look()
    assert "show_destinations" not in asked
    scene.client.set(keys.slots("send"), "another program's")
    await QueueDepths(scene.redis, limited(max_in_flight=1)).look()
    assert shown("in_flight", "send") is None
