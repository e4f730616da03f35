"""The client serves requests through a Plugboard, in both versions and both published variants."""

import asyncio
import threading
from typing import Any, ClassVar, override

import pytest

from actions.list_chains import ListChains
from core.action_response import ActionResponse
from core.observability import metrics
from core.phoenix.lenient_json import NO_NUMBER
from devstack.plugboard import Variant
from tests.integration.support.consumer import consumer
from tests.integration.support.plugboard_scene import PATIENCE
from tests.unit.support.actions_for_tests import Echo, Hold, Raising, TestAction

each_version = pytest.mark.parametrize("vsn", ["1.0.0", "2.0.0"])
each_variant = pytest.mark.parametrize("variant", Variant)

AT_ONCE = 64


@pytest.fixture(autouse=True)
def hold(monkeypatch: pytest.MonkeyPatch) -> type[Hold]:
    """`Hold` with events of this test's loop."""
    Hold.prepare(monkeypatch)
    return Hold


class Meet(TestAction):
    """Answers when as many requests as may run at once are in it together."""

    together: ClassVar[asyncio.Barrier]

    @override
    async def run(self, client: Any, websocket: Any) -> ActionResponse:
        await self.together.wait()
        return ActionResponse(status_code=200, fields={"met": self.together.parties})


class Measure(TestAction):
    """Answers with the length of a text."""

    text: str

    @override
    async def run(self, client: Any, websocket: Any) -> ActionResponse:
        return ActionResponse(status_code=200, fields={"length": len(self.text)})


class Block(TestAction):
    """Blocks its thread until it is let go."""

    blocked: ClassVar[threading.Barrier]

    @override
    def run(self, client: Any, websocket: Any) -> ActionResponse:
        self.blocked.wait(PATIENCE)
        return ActionResponse(status_code=200, fields={"thread": threading.current_thread().name})


def expiry_told() -> float | None:
    """When the token expires, as `/metrics` has it."""
    return metrics.REGISTRY.get_sample_value("patchcord_token_expires_timestamp_seconds")


@each_version
async def test_a_join_tells_the_client_who_it_is(vsn: str) -> None:
    """After the join the client knows service, token and count, and has had them recorded."""
    async with consumer(Echo, vsn=vsn) as running:
        await running.joined()
        client, scene = running.client, running.scene
        assert client.joined
        assert client.service is not None
        assert client.token is not None
        assert (client.service.id, client.service.name) == (scene.service.id, "basic")
        assert (client.token.id, client.token.value) == (scene.token.id, scene.token.value)
        assert client.num_consumers == 1
        assert expiry_told() == client.token.expires_at.timestamp()
        (seen, service), (also_seen, token) = running.records.written
        assert (seen, service) == ("service_seen", client.service)
        assert (also_seen, token.id, token.value) == ("token_seen", client.token.id, None)
        assert scene.token.value not in f"{client.token!r} {client.token.model_dump()}"


@each_version
@each_variant
async def test_a_request_is_answered(vsn: str, variant: Variant) -> None:
    """An answer with fields and no message arrives whole through either Plugboard."""
    async with consumer(Measure, vsn=vsn, variant=variant) as running:
        await running.joined()
        status, body = await running.ask("Measure", text="fünf!")
        assert status == 200
        assert body["message"] == {"length": 5}
        assert body.get("fields", body["message"]) == {"length": 5}


@each_version
@pytest.mark.parametrize(
    ("action", "fields", "status", "message"),
    [
        ("Eco", {}, 404, "Unknown action: Eco"),
        (None, {}, 404, "Unknown action: its name must be text, not null"),
        (["Echo"], {}, 404, "Unknown action: its name must be text, not a list"),
        ("Echo", None, 400, "Invalid fields for Echo: fields: must be an object"),
        ("Echo", [1], 400, "Invalid fields for Echo: fields: must be an object"),
        ("Echo", "text", 400, "Invalid fields for Echo: fields: must be an object"),
        ("Echo", {"txt": "a"}, 400, "Invalid fields for Echo: txt: there is no such field"),
        ("Raising", {}, 500, "Internal error; the operator finds it as incident"),
    ],
)
async def test_what_cannot_be_done_is_answered_too(
    vsn: str, action: object, fields: object, status: int, message: str
) -> None:
    """Each kind of failure is an answer with its status, relayed or turned into 400."""
    for variant, relayed in ((Variant.BUGFIXES, status), (Variant.MAIN, 400)):
        async with consumer(Echo, Raising, vsn=vsn, variant=variant) as running:
            await running.joined()
            answer = await running.scene.post(action=action, fields=fields)
            assert answer.status_code == relayed
            assert answer.json()["message"].startswith(message)


@each_version
async def test_requests_run_together_and_the_read_loop_goes_on(
    vsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """64 requests that wait for each other are all answered; meanwhile events come through."""
    together = asyncio.Barrier(AT_ONCE)
    monkeypatch.setattr(Meet, "together", together, raising=False)
    async with consumer(Meet, vsn=vsn, at_once=AT_ONCE) as running:
        connection = await running.joined()
        calls = [asyncio.create_task(running.fields("Meet")) for _ in range(AT_ONCE - 1)]
        await asyncio.sleep(0)
        running.board.rename_service(running.scene.service, "renamed")
        connection.push("nonsense", {})
        await running.hears(connection)
        assert together.n_waiting == AT_ONCE - 1
        assert running.client.service is not None
        assert running.client.service.name == "renamed"
        calls.append(asyncio.create_task(running.fields("Meet")))
        assert await asyncio.gather(*calls) == [{"met": AT_ONCE}] * AT_ONCE


async def test_beyond_the_bounds_there_is_503_at_once(hold: type[Hold]) -> None:
    """Two run, one waits, the fourth hears at once that there are too many."""
    async with consumer(Hold, at_once=2, waiting=1, variant=Variant.BUGFIXES) as running:
        await running.joined()
        calls = [running.scene.calling(action="Hold", fields={}) for _ in range(4)]
        async with asyncio.timeout(PATIENCE):
            done, held = await asyncio.wait(calls, return_when=asyncio.FIRST_COMPLETED)
        [refused] = done
        assert refused.result().status_code == 503
        hold.go.set()
        assert {answer.status_code for answer in await asyncio.gather(*held)} == {200}


async def test_blocking_actions_leave_the_loop_free(monkeypatch: pytest.MonkeyPatch) -> None:
    """While two plain `def run` block their threads, an async action is answered."""
    blocked = threading.Barrier(3)
    monkeypatch.setattr(Block, "blocked", blocked, raising=False)
    async with consumer(Block, Echo, threads=2) as running:
        await running.joined()
        blocking = [asyncio.create_task(running.fields("Block")) for _ in range(2)]
        assert await running.fields("Echo", text="x") == {"text": "x"}
        assert not any(task.done() for task in blocking)
        await asyncio.to_thread(blocked.wait, PATIENCE)
        threads = {answer["thread"] for answer in await asyncio.gather(*blocking)}
        assert threads == {"action_0", "action_1"}


@each_version
async def test_a_request_as_large_as_the_plugboard_takes(vsn: str) -> None:
    """A body of 8 MB goes through, and so does an answer of that size."""
    text = "x" * 7_999_000
    async with consumer(Measure, Echo, vsn=vsn, variant=Variant.BUGFIXES) as running:
        await running.joined()
        status, body = await running.ask("Measure", text=text)
        assert (status, body["fields"]) == (200, {"length": len(text)})
        status, body = await running.ask("Echo", text=text)
        assert (status, body["fields"]["text"] == text) == (200, True)


async def test_frames_of_16_mib_are_read() -> None:
    """A frame just below 16 MiB is answered; a larger one ends the connection, not the client."""
    async with consumer(Measure) as running:
        connection = await running.joined()
        push_large(connection, 16 * 1024 * 1024 - 1_000)
        await running.board.wait_for(
            lambda: any("large" in str(frame) for frame in connection.received), PATIENCE
        )
        push_large(connection, 16 * 1024 * 1024)
        await running.board.wait_for(lambda: connection.closed)
        assert connection.close_code == 1009
        await running.joined()
        assert await running.fields("Measure", text="x") == {"length": 1}


def push_large(connection: Any, size: int) -> None:
    """Push a request with a text of that many bytes."""
    fields = {"text": "x" * size}
    connection.push("request", {"action": "Measure", "fields": fields, "response_ref": "large"})


async def test_without_a_pipeline_its_actions_are_503() -> None:
    """An action that needs what this service was not given says so."""
    async with consumer(ListChains, variant=Variant.BUGFIXES) as running:
        await running.joined()
        status, body = await running.ask("ListChains")
        assert status == 503
        assert "CONSERVER_CONFIG_FILE" in body["message"]


async def test_a_slow_action_is_answered_504(hold: type[Hold]) -> None:
    """After the action's time the caller hears so, long before the Plugboard gives up."""
    async with consumer(Hold, timeout=0.01, variant=Variant.BUGFIXES) as running:
        await running.joined()
        status, body = await running.ask("Hold")
        assert (status, body["message"]) == (504, "Hold took longer than 0.01 s")


async def test_leaving_finishes_what_runs(
    hold: type[Hold],
) -> None:
    """The answer of a running request goes out before the leave, a new request gets 503."""
    async with consumer(Hold, Echo, variant=Variant.BUGFIXES, leave_seconds=1_000.0) as running:
        connection = await running.joined()
        held = running.scene.calling(action="Hold", fields={})
        await hold.begun.wait()
        leaving = asyncio.create_task(running.client.leave(PATIENCE))
        await asyncio.sleep(0)
        assert (await running.ask("Echo"))[0] == 503
        hold.go.set()
        async with asyncio.timeout(PATIENCE):  # the Plugboard's reply ends the leave
            await leaving
        await running.ended()
        assert (await held).status_code == 200
        events = [frame[3] for frame in connection.received]
        assert events[-1] == "phx_leave"
        assert connection.close_code == 1000


async def test_leaving_does_not_wait_longer_than_its_grace(hold: type[Hold]) -> None:
    """What is not done in time is answered with 503."""
    async with consumer(Hold, variant=Variant.BUGFIXES) as running:
        await running.joined()
        held = running.scene.calling(action="Hold", fields={})
        await hold.begun.wait()
        await running.client.leave(0.01)
        await running.ended()
        assert (await held).status_code == 503


async def test_what_no_one_should_send_harms_no_neighbour(hold: type[Hold]) -> None:
    """No JSON, no ref, a ref twice, fields that are too large: each is answered or counted."""
    counted = (metrics.MALFORMED, metrics.WITHOUT_REF, metrics.DUPLICATE_REFS)
    before = [each._value.get() for each in counted]
    async with consumer(Hold, Echo, fields_bytes=1_000, variant=Variant.BUGFIXES) as running:
        connection = await running.joined()
        neighbour = running.scene.calling(action="Hold", fields={})
        await hold.begun.wait()
        connection.send(b"no JSON")
        connection.push("request", {"action": "Echo", "fields": {}})
        for _ in range(2):
            connection.push("request", {"action": "Echo", "fields": {}, "response_ref": "twice"})
        assert (await running.ask("Echo", text="x" * 1_000))[0] == 413
        text = f"The request cannot be read: fields.text[0]: {NO_NUMBER}"
        assert (await running.ask("Echo", text=[10**400]))[1]["message"] == text
        hold.go.set()
        assert (await neighbour).status_code == 200
        assert sum("twice" in str(frame) for frame in connection.received) == 1
    assert [each._value.get() for each in counted] == [number + 1 for number in before]
