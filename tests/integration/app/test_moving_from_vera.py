"""Actions written for Vera-Py-Service: what they use of the client and of its websocket."""

import json
from typing import Any, ClassVar, override

import pytest

from core.action_response import ActionResponse
from devstack.plugboard import Variant
from tests.integration.support.consumer import Consumer, consumer
from tests.integration.support.plugboard_scene import PATIENCE
from tests.unit.support.actions_for_tests import Echo, TestAction

each_version = pytest.mark.parametrize("vsn", ["1.0.0", "2.0.0"])
REF = "00000000-0000-4000-8000-000000000000"


class Sends(TestAction):
    """Sends what the test tells it to, then answers."""

    message: ClassVar[Any] = None

    @override
    async def run(self, client: Any, websocket: Any) -> ActionResponse:
        await websocket.send(self.message)
        return ActionResponse(status_code=200, fields={"sent": True})


class Looks(TestAction):
    """Uses the client as Vera-Py-Service's own events do."""

    @override
    async def run(self, client: Any, websocket: Any) -> ActionResponse:
        echoed = await client.actions["Echo"](text="x").run(client, websocket)
        return ActionResponse(
            status_code=200,
            fields={
                "echoed": echoed.fields,
                "events": sorted(client.events),
                "token": client.token.value == self.expected,
                "connected": client.connected,
                "service": client.service.name,
            },
        )

    expected: ClassVar[str] = ""


def messages(payload: dict[str, Any]) -> list[Any]:
    """A response as Vera's actions send it, and in other forms that mean the same."""
    v1 = {"topic": "service", "event": "response", "payload": payload, "ref": REF}
    text = json.dumps(v1)
    v2 = json.dumps([None, REF, "service", "response", payload])
    return [text, text.encode(), bytearray(text.encode()), [text[:9], text[9:]], v2]


@each_version
async def test_what_an_action_sends_goes_out_in_the_connections_version(
    monkeypatch: pytest.MonkeyPatch, vsn: str
) -> None:
    """`websocket.send(json.dumps({...}))` reaches the Plugboard, and the connection stands."""
    payload = {"status_code": 200, "message": "m", "fields": {"a": [1, "é"]}}
    async with consumer(Sends, Echo, vsn=vsn, variant=Variant.BUGFIXES) as running:
        connection = await running.joined()
        for message in messages(payload):
            monkeypatch.setattr(Sends, "message", message)
            assert await running.fields("Sends") == {"sent": True}
            await arrived(running, payload)
        monkeypatch.setattr(Sends, "message", '{"topic": "phoenix", "event": "heartbeat"}')
        assert await running.fields("Sends") == {"sent": True}
        assert await running.joined() is connection


async def arrived(running: Consumer, payload: dict[str, Any]) -> None:
    """Return when the Plugboard has this response, and forget it."""
    [connection] = running.board.consumers

    def found() -> list[Any]:
        values = [
            list(frame.values()) if isinstance(frame, dict) else frame
            for frame in connection.received
        ]
        return [each for each in values if REF in each and payload in each]

    await running.board.wait_for(lambda: bool(found()), PATIENCE)
    connection._received.clear()


@each_version
@pytest.mark.parametrize(
    "message",
    ["no JSON", "7", "[]", "[1, 2]", "{}", '{"topic": 1, "event": "e"}', '{"topic": "t"}', b"\xff"],
)
async def test_what_would_end_the_connection_is_not_sent(
    monkeypatch: pytest.MonkeyPatch, message: Any, vsn: str, caplog: pytest.LogCaptureFixture
) -> None:
    """The action fails, with what was wrong in the log, and no other request is harmed."""
    monkeypatch.setattr(Sends, "message", message)
    async with consumer(Sends, Echo, vsn=vsn, variant=Variant.BUGFIXES) as running:
        connection = await running.joined()
        assert (await running.ask("Sends"))[0] == 500
        await running.serves()
        assert await running.joined() is connection
    assert "not a Phoenix message" in caplog.text


@each_version
async def test_the_client_has_what_veras_has(monkeypatch: pytest.MonkeyPatch, vsn: str) -> None:
    """`actions`, `events`, `connected`, `service`, and the token's value as text."""
    async with consumer(Looks, Echo, vsn=vsn) as running:
        await running.joined()
        monkeypatch.setattr(Looks, "expected", running.scene.token.value)
        told = await running.fields("Looks")
        assert {"request", "phx_reply", "token_created"} <= set(told.pop("events"))
        assert told == {
            "echoed": {"text": "x"},
            "token": True,
            "connected": True,
            "service": "basic",
        }
