"""What the Plugboard says of services and tokens, and what the client does about it."""

from typing import Any

import pytest

from core.interfaces import Client
from devstack.plugboard import Variant
from events.request_event import RequestEvent
from schemas.service import Service
from tests.integration.support.consumer import consumer
from tests.unit.support.actions_for_tests import Echo, Hold

each_version = pytest.mark.parametrize("vsn", ["1.0.0", "2.0.0"])


@each_version
async def test_a_rename_is_recorded(vsn: str) -> None:
    """The new name is remembered and written down."""
    async with consumer(Echo, vsn=vsn) as running:
        connection = await running.joined()
        running.board.rename_service(running.scene.service, "renamed")
        await running.hears(connection)
        what, service = running.records.written[-1]
        assert (what, service.name) == ("service_seen", "renamed")
        assert running.client.service == service


@each_version
async def test_a_new_token_is_recorded(vsn: str) -> None:
    """The records get the token with its value, which they keep as a hash only."""
    async with consumer(Echo, vsn=vsn) as running:
        connection = await running.joined()
        made = running.board.create_token(running.scene.service)
        await running.hears(connection)
        what, token = running.records.written[-1]
        assert (what, token.id) == ("token_seen", made.id)
        assert token.value.get_secret_value() == made.value


async def test_a_deleted_token_is_recorded_and_the_client_stays(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Without its token the client goes on answering, and logs that it cannot connect again."""
    async with consumer(Echo) as running:
        connection = await running.joined()
        running.board.delete_token(running.scene.token)
        await running.hears(connection)
        what, token = running.records.written[-1]
        assert (what, token.id) == ("token_deleted", running.scene.token.id)
        assert "token in use deleted" in caplog.text
        assert await running.fields("Echo", text="x") == {"text": "x"}


@each_version
async def test_a_child_service_is_none_of_our_business(vsn: str) -> None:
    """News of a child reaches the parent's consumers, who ignore it."""
    async with consumer(Echo, vsn=vsn) as running:
        await running.joined()
        child = running.board.create_service("child", running.scene.service)
        connection = await running.joined()
        ours = running.client.service
        running.records.written.clear()
        running.board.rename_service(child, "grown up")
        running.board.delete_service(child)
        await running.hears(connection)
        frames = [frame for frame in connection.sent if "grown up" in str(frame)]
        assert len(frames) == 2
        assert running.records.written == []
        assert running.client.service == ours
        assert running.client.retired is None


@each_version
async def test_the_end_of_the_service_is_the_end_of_the_client(
    vsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When its own service is deleted the client finishes what runs, leaves, and stops."""
    Hold.prepare(monkeypatch)
    async with consumer(Hold, Echo, vsn=vsn, variant=Variant.BUGFIXES) as running:
        await running.joined()
        held = running.scene.calling(action="Hold", fields={})
        await Hold.begun.wait()
        running.board.delete_service(running.scene.service)
        assert (await running.ask("Echo"))[0] == 503
        Hold.go.set()
        await running.ended()
        assert (await held).status_code == 200
        assert running.client.retired == "the service basic was deleted"
        what, service = running.records.written[-1]
        assert (what, service.id) == ("service_deleted", running.scene.service.id)
        assert running.board.consumers == []


async def test_a_join_after_a_rename_keeps_the_new_name() -> None:
    """On one socket the Plugboard repeats the name of the first join; ours is newer."""
    async with consumer(Echo) as running:
        connection = await running.joined()
        assert running.client.service is not None
        older = running.client.service
        newer = Service.model_validate(
            {**older.model_dump(), "name": "newer", "updated_at": "2099-01-01T00:00:00Z"}
        )
        connection.push("service_updated", {"service": newer.model_dump(mode="json")})
        running.board.crash_channel(connection)
        await running.joined()
        assert running.client.service == newer
        assert [service for what, service in running.records.written if what == "service_seen"] == [
            older,
            newer,
            older,
        ]


class ShoutingRequestEvent(RequestEvent):
    """A service's own class for requests: changes what is asked."""

    def run(self, client: Client, websocket: Any) -> None:
        fields = {name: value.upper() for name, value in self.payload.fields.items()}
        client.accept(self.payload.action, fields, self.payload.response_ref)


async def test_a_services_own_request_event_is_run() -> None:
    """Only the built-in class is bypassed: a subclass gets every request."""
    async with consumer(Echo, events=[ShoutingRequestEvent]) as running:
        await running.joined()
        assert await running.fields("Echo", text="x") == {"text": "X"}
