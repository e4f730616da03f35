"""Answers reach their callers although the connection went away in between."""

import asyncio
from typing import Any, ClassVar, override

import orjson
import pytest

from core.action_response import ActionResponse
from core.plugboard.client import TOPIC
from devstack.plugboard import ConsumerConnection, Variant
from tests.integration.support.consumer import Consumer, consumer
from tests.integration.support.plugboard_scene import PATIENCE
from tests.unit.support.actions_for_tests import Echo, Hold, TestAction

each_version = pytest.mark.parametrize("vsn", ["1.0.0", "2.0.0"])


@pytest.fixture(autouse=True)
def hold(monkeypatch: pytest.MonkeyPatch) -> type[Hold]:
    """`Hold` with events of this test's loop."""
    Hold.prepare(monkeypatch)
    return Hold


class AfterTheEnd(TestAction):
    """Answers when the connection that brought the request is gone."""

    @override
    async def run(self, client: Any, websocket: Any) -> ActionResponse:
        Hold.begun.set()
        await websocket.wait_closed()
        return ActionResponse(status_code=200, fields={"late": True})


@each_version
async def test_an_answer_finished_while_disconnected_arrives(vsn: str) -> None:
    """The caller gets an answer that was ready when there was no connection to send it on."""
    async with consumer(AfterTheEnd, Echo, vsn=vsn, variant=Variant.BUGFIXES) as running:
        first = await running.joined()
        call = running.scene.calling(action="AfterTheEnd", fields={})
        await Hold.begun.wait()
        first.abort()
        answer = await call
        assert (answer.status_code, answer.json()["fields"]) == (200, {"late": True})
        assert running.board.counters.unmatched == 1  # of `joined`, which has no request


@each_version
@pytest.mark.parametrize("levels", [1_025, 3_000, 100_000])
async def test_a_request_nested_too_deeply_is_answered(levels: int, vsn: str) -> None:
    """400 at once, naming the member, for fields of any depth and for an action of any depth."""
    deep = "[" * levels + "]" * levels
    async with consumer(Echo, vsn=vsn, variant=Variant.BUGFIXES) as running:
        await running.joined()
        for body in (f'"action": "Echo", "fields": {deep}', f'"action": {deep}, "fields": {{}}'):
            content = f'{{"service_id": {running.scene.service.id}, {body}}}'
            answer = await running.scene.post(content=content)
            assert answer.status_code == 400
            assert "nested more than 254 levels deep" in answer.json()["message"]
        await running.serves()


@each_version
async def test_an_answer_finished_while_not_joined_arrives(hold: type[Hold], vsn: str) -> None:
    """The same after a crash of the channel, whose socket stays open."""
    async with consumer(Hold, vsn=vsn, variant=Variant.BUGFIXES) as running:
        first = await running.joined()
        call = running.scene.calling(action="Hold", fields={})
        await hold.begun.wait()
        running.board.faults.ignore_joins = True
        running.board.crash_channel(first)
        await refused_joins_of(running, first)
        hold.go.set()
        await asyncio.sleep(0)
        running.board.faults.ignore_joins = False
        first.abort()
        assert (await call).status_code == 200


async def test_an_answer_of_the_moment_in_which_the_channel_crashes_arrives() -> None:
    """Request and crash come in one read: the answer has not left, and goes to the next channel."""
    async with consumer(Echo, variant=Variant.BUGFIXES) as running:
        connection = await running.joined()
        [join_ref] = {frame[0] for frame in connection.received if frame[3] == "phx_join"}
        request = {"action": "Echo", "fields": {}, "response_ref": "ref-1"}
        texts = [
            orjson.dumps([join_ref, None, TOPIC, "request", request]),
            orjson.dumps([join_ref, join_ref, TOPIC, "phx_error", {}]),
        ]
        running.board.crash_channel(connection)
        running.client._session._received(texts)
        await running.serves()
        answers = [frame for frame in connection.received if frame[1] == "ref-1"]
        assert [frame[0] == join_ref for frame in answers][-1] is False


class Large(TestAction):
    """Answers with more than a socket's buffers hold."""

    answered: ClassVar[asyncio.Semaphore]

    @override
    async def run(self, client: Any, websocket: Any) -> ActionResponse:
        self.answered.release()
        return ActionResponse(status_code=200, message="x" * 8_000_000)


async def test_answers_that_never_left_are_sent_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Answers stuck behind a slow connection that then breaks arrive over the next one."""
    monkeypatch.setattr(Large, "answered", asyncio.Semaphore(0), raising=False)
    async with consumer(Large, variant=Variant.BUGFIXES) as running:
        first = await running.joined()
        first._transport.pause_reading()  # the Plugboard's end takes nothing any more
        calls = [running.scene.calling(action="Large", fields={}) for _ in range(3)]
        for _ in calls:
            await Large.answered.acquire()
        await asyncio.sleep(0)
        assert not any(call.done() for call in calls)
        first.abort()
        async with asyncio.timeout(PATIENCE):
            answers = await asyncio.gather(*calls)
        assert [answer.status_code for answer in answers] == [200, 200, 200]


async def refused_joins_of(running: Consumer, connection: ConsumerConnection) -> None:
    """Return when the client has tried to join again."""

    def joins() -> int:
        return sum("phx_join" in str(frame) for frame in connection.received)

    await running.board.wait_for(lambda: joins() >= 2)
