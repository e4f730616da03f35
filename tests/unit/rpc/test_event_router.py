"""Each event runs its class, and a failing one does not affect others."""

import asyncio
import logging
from typing import Any, Literal

import pytest
from pydantic import BaseModel

from core.action_event import PlugboardEvent
from core.rpc.event_router import EventRouter


class Noted(PlugboardEvent):
    """Notes what it was run with in its client, which is a list here."""

    class Payload(BaseModel):
        """What it carries."""

        number: int

    event: Literal["noted"] = "noted"
    payload: Payload

    @classmethod
    def description(cls) -> str:
        return "Noted"

    def run(self, client: Any, websocket: Any) -> None:
        client.append((self.topic, self.event, self.payload.number, self.ref, websocket))


class Failing(Noted):
    event: Literal["failing"] = "failing"

    def run(self, client: Any, websocket: Any) -> None:
        raise RuntimeError("broken")


class Asynchronous(Noted):
    event: Literal["asynchronous"] = "asynchronous"

    async def run(self, client: asyncio.Queue[int], websocket: Any) -> None:  # type: ignore[override]
        await asyncio.sleep(0)
        if self.payload.number < 0:
            raise RuntimeError("broken")
        client.put_nowait(self.payload.number)


EVENTS = {cls.discriminator(): cls for cls in (Noted, Failing, Asynchronous)}


@pytest.fixture
def router() -> EventRouter:
    """A router of the events above."""
    return EventRouter(EVENTS, "service")


def test_an_event_is_validated_and_run(router: EventRouter) -> None:
    """The class gets the message as its fields; what it does not know is ignored."""
    seen: list[Any] = []
    router.route("noted", {"number": 1, "new": 2}, "r", seen, "websocket")
    assert seen == [("service", "noted", 1, "r", "websocket")]


@pytest.mark.parametrize(
    ("event", "payload", "level", "message"),
    [
        ("unheard", {"number": 1}, logging.INFO, "unknown event from the Plugboard"),
        ("noted", {"number": "s3cret"}, logging.WARNING, "malformed event from the Plugboard"),
        ("noted", {}, logging.WARNING, "malformed event from the Plugboard"),
        ("failing", {"number": 1}, logging.ERROR, "event failed"),
    ],
)
def test_an_event_that_cannot_be_run_is_logged(
    router: EventRouter,
    event: str,
    payload: dict[str, Any],
    level: int,
    message: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """An unknown, malformed or failing event names itself in the log, without its data."""
    caplog.set_level(logging.INFO)
    seen: list[Any] = []
    router.route(event, payload, None, seen, None)
    [record] = caplog.records
    assert (record.levelno, record.message, record.event_name) == (level, message, event)
    assert seen == []
    assert "s3cret" not in caplog.text


async def test_an_async_event_runs_in_a_task(router: EventRouter) -> None:
    """`async def run` is not awaited by the one who routes it, but it runs."""
    seen: asyncio.Queue[int] = asyncio.Queue()
    router.route("asynchronous", {"number": 5}, None, seen, None)
    assert seen.empty()
    assert await seen.get() == 5


async def test_an_async_event_that_fails_is_logged(
    router: EventRouter, caplog: pytest.LogCaptureFixture
) -> None:
    """Its error goes to the log like any other's."""
    seen: asyncio.Queue[int] = asyncio.Queue()
    router.route("asynchronous", {"number": -1}, None, seen, None)
    router.route("asynchronous", {"number": 1}, None, seen, None)
    await seen.get()
    assert [record.event_name for record in caplog.records] == ["asynchronous"]
