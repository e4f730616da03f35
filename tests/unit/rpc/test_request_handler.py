"""Each accepted request is answered once, for each outcome."""

import asyncio
import contextlib
from typing import Any, ClassVar

import orjson
import pytest

from core import request_context
from core.action_response import ActionResponse
from core.action_runner import ActionRunner
from core.observability import metrics
from core.phoenix.channel import Channel
from core.rpc.concurrency_limiter import ConcurrencyLimiter
from core.rpc.dispatcher import Dispatcher
from core.rpc.outbox import PLUGBOARD_MEMORY, Outbox
from core.rpc.request_handler import REMEMBERED_REFS, REPLY_FORMATS, RequestHandler, RequestLimits
from tests.unit.support.actions_for_tests import Echo, Hold, Returning

FIELDS_BYTES = 1_000


SOON = 0.005


class Stubborn(Hold):
    """Like `Hold`, but one cancellation does not end it."""

    async def run(self, client: Any, websocket: Any) -> ActionResponse:
        with contextlib.suppress(asyncio.CancelledError):
            await self.go.wait()
        await self.go.wait()
        return ActionResponse(status_code=200)


class Secretive(Echo):
    """Answers with a secret."""

    async def run(self, client: Any, websocket: Any) -> ActionResponse:
        return ActionResponse(status_code=201, fields={"secret": "vk_1"}, has_secret=True)


class HandlerScene:
    """A handler whose answers can be read, because its channel is not joined."""

    def __init__(
        self,
        *,
        at_once: int = 2,
        waiting: int = 1,
        more: type[ActionRunner] = Returning,
        seconds: float = 60.0,
        remembered_refs: int = REMEMBERED_REFS,
    ) -> None:
        actions = {cls.__name__: cls for cls in (Echo, Hold, Stubborn, more)}
        self.limiter = ConcurrencyLimiter(max_running=at_once, max_waiting=waiting)
        self.outbox = Outbox(Channel("service"))
        self.news = asyncio.Event()
        self.handler = RequestHandler(
            Dispatcher(actions, run_blocking=asyncio.to_thread),
            self.limiter,
            RequestLimits(seconds, FIELDS_BYTES, remembered_refs),
            REPLY_FORMATS["vera"],
            self.outbox,
            self.news.set,
        )

    def ask(self, action: object, ref: object, fields: object = None) -> None:
        """Accept one request."""
        fields = {} if fields is None else fields
        size = len(orjson.dumps(fields)) + 100
        self.handler.accept(action, fields, ref, self.handler, None, size)

    def answers(self) -> dict[str, int]:
        """The status codes since the last call, by ref."""
        return {ref: payload["status_code"] for ref, payload in self.payloads()}

    def payloads(self) -> list[tuple[str, Any]]:
        """The refs and payloads since the last call."""
        now = asyncio.get_running_loop().time()
        kept = list(self.outbox.unsent.worth_sending(now))
        assert all(now - answer.received_at < PLUGBOARD_MEMORY for answer in kept)
        return [(answer.ref, orjson.loads(orjson.dumps(answer.payload))) for answer in kept]

    async def next_answers(self) -> dict[str, int]:
        """Wait for answers and return their status codes."""
        await self.news.wait()
        self.news.clear()
        return self.answers()


@pytest.fixture
def hold(monkeypatch: pytest.MonkeyPatch) -> type[Hold]:
    """`Hold` with events of this test's loop."""
    Hold.prepare(monkeypatch)
    return Hold


async def test_a_request_is_answered_under_its_ref() -> None:
    """The answer carries the ref of the request."""
    scene = HandlerScene()
    scene.ask("Echo", "r-1")
    assert await scene.next_answers() == {"r-1": 200}


@pytest.mark.parametrize("ref", [None, 1, ["r"], {}])
async def test_a_request_without_a_ref_is_logged(
    ref: object, caplog: pytest.LogCaptureFixture
) -> None:
    """The action is not run, because its answer could not be sent."""
    scene = HandlerScene()
    scene.ask("Echo", ref)
    assert "without ref" in caplog.text
    assert scene.answers() == {}


async def test_beyond_the_bound_the_answer_is_503_at_once(hold: type[Hold]) -> None:
    """One runs, one waits, the third hears at once that there are too many."""
    scene = HandlerScene(at_once=1, waiting=1)
    for ref in ("runs", "waits", "refused"):
        scene.ask("Hold", ref)
    assert scene.answers() == {"refused": 503}
    hold.go.set()
    await scene.handler.close(60)
    assert scene.answers() == {"runs": 200, "waits": 200}


async def test_closing_finishes_accepted_requests(hold: type[Hold]) -> None:
    """While closing, old requests are finished and new ones are refused."""
    scene = HandlerScene()
    scene.ask("Hold", "old")
    await hold.begun.wait()
    closing = asyncio.create_task(scene.handler.close(60))
    await asyncio.sleep(0)
    scene.ask("Echo", "new")
    assert scene.answers() == {"new": 503}
    hold.go.set()
    await closing
    assert scene.answers() == {"old": 200}


async def test_unfinished_requests_are_answered_503(hold: type[Hold]) -> None:
    """After the grace all remaining requests are answered 503."""
    scene = HandlerScene(at_once=1)
    scene.ask("Hold", "running")
    scene.ask("Echo", "waiting")
    await hold.begun.wait()
    await scene.handler.close(0)
    assert scene.answers() == {"running": 503, "waiting": 503}
    async with asyncio.timeout(60):  # a ceiling: it was cancelled
        await hold.ended.wait()
    assert scene.answers() == {}


async def test_log_lines_of_a_request_have_its_ref() -> None:
    """Lines logged for a request have its ref and action."""
    seen: list[dict[str, object]] = []

    class Seeing(Echo):
        async def run(self, client: Any, websocket: Any) -> ActionResponse:
            seen.append(request_context.fields())
            return await super().run(client, websocket)

    scene = HandlerScene(more=Seeing)
    scene.ask("Seeing", "r-1")
    scene.ask("Seeing", "r-2")
    await scene.handler.close(60)
    assert seen == [{"ref": ref, "action": "Seeing"} for ref in ("r-1", "r-2")]
    assert request_context.fields() == {}


async def test_a_ref_that_comes_twice_is_answered_once(hold: type[Hold]) -> None:
    """The second one is dropped and counted, whether the first one runs, waits or is answered."""
    scene, before = HandlerScene(at_once=1, waiting=1), metrics.DUPLICATE_REFS._value.get()
    for ref in ("runs", "waits", "runs", "waits"):
        scene.ask("Hold", ref)
    hold.go.set()
    await scene.next_answers()
    await scene.limiter.wait_until_idle()
    scene.answers()
    scene.ask("Echo", "runs")
    scene.ask("Echo", "new")
    assert scene.answers() == {"new": 200}
    assert metrics.DUPLICATE_REFS._value.get() - before == 3


async def test_old_refs_are_forgotten() -> None:
    """Of the answered refs only the latest are remembered."""
    scene = HandlerScene(remembered_refs=2)
    for ref in ("a", "b", "c", "d", "e"):
        scene.ask("Echo", ref)
    scene.answers()
    for ref in ("a", "d", "e"):
        scene.ask("Echo", ref)
    assert scene.answers() == {"a": 200}


async def test_a_slow_action_is_cancelled_and_answered_504(
    hold: type[Hold], caplog: pytest.LogCaptureFixture
) -> None:
    """At its deadline the request is answered 504, and the action is cancelled."""
    scene = HandlerScene(seconds=SOON)
    scene.ask("Hold", "slow")
    await scene.news.wait()
    [(ref, payload)] = scene.payloads()
    assert (ref, payload["status_code"]) == ("slow", 504)
    assert payload["message"] == "Hold took longer than 0.005 s"
    assert [(record.action, record.ref) for record in caplog.records] == [("Hold", "slow")]
    async with asyncio.timeout(60):  # a ceiling
        await hold.ended.wait()
    await scene.limiter.wait_until_idle()


async def test_an_action_that_ignores_its_cancellation_is_answered(hold: type[Hold]) -> None:
    """An action that goes on when cancelled keeps its room, but not its caller waiting."""
    scene = HandlerScene(seconds=SOON)
    scene.ask("Stubborn", "r-1")
    assert await scene.next_answers() == {"r-1": 504}
    assert scene.limiter.running == 1
    hold.go.set()
    await scene.limiter.wait_until_idle()
    assert scene.answers() == {}


async def test_a_request_that_waits_too_long_is_not_run(hold: type[Hold]) -> None:
    """Its time counts from its receipt; when that is over it is answered with 504 and counted."""

    class Late(Echo):
        ran: ClassVar[list[str]] = []

        async def run(self, client: Any, websocket: Any) -> ActionResponse:
            self.ran.append(self.text)
            return await super().run(client, websocket)

    scene, before = HandlerScene(at_once=1, seconds=SOON, more=Late), metrics.EXPIRED._value.get()
    scene.ask("Stubborn", "runs")
    scene.ask("Late", "waits", {"text": "too late"})
    answers: dict[str, int] = {}
    while len(answers) < 2:
        answers |= await scene.next_answers()
    assert answers == {"runs": 504, "waits": 504}
    assert metrics.EXPIRED._value.get() - before == 1
    hold.go.set()
    await scene.limiter.wait_until_idle()
    scene.ask("Late", "new", {"text": "in time"})
    assert scene.answers() == {"new": 200}
    assert Late.ran == ["in time"]


async def test_an_action_may_ask_what_time_is_left(hold: type[Hold]) -> None:
    """It is counted from the receipt, so waiting has used some of it up."""
    left: list[float] = []

    class Asking(Echo):
        async def run(self, client: Any, websocket: Any) -> ActionResponse:
            left.append(client.seconds_left())
            return await super().run(client, websocket)

    scene = HandlerScene(at_once=1, more=Asking)
    assert scene.handler.seconds_left() == 60.0
    scene.ask("Hold", "runs")
    scene.ask("Asking", "waits")
    [received_at] = [r.received_at for r in scene.handler._unanswered.values() if not r.task]
    hold.go.set()
    await scene.limiter.wait_until_idle()
    now = asyncio.get_running_loop().time()
    assert 60.0 - (now - received_at) <= left[0] < 60.0


async def test_a_request_that_only_waits_gives_way(hold: type[Hold]) -> None:
    """Another runs in its place; asking for it twice gives up one place only."""

    class Patient(Echo):
        async def run(self, client: Any, websocket: Any) -> ActionResponse:
            with client.giving_way(), client.giving_way():
                await hold.go.wait()
            return await super().run(client, websocket)

    scene = HandlerScene(at_once=1, waiting=2, more=Patient)
    for ref in ("p-1", "p-2"):
        scene.ask("Patient", ref)
    scene.ask("Echo", "e-1")
    answers: dict[str, int] = {}
    while "e-1" not in answers:
        answers |= await scene.next_answers()
    assert answers == {"e-1": 200}
    assert (scene.limiter.running, scene.limiter.suspended) == (0, 2)
    hold.go.set()
    await scene.limiter.wait_until_idle()
    assert scene.answers() == {"p-1": 200, "p-2": 200}
    assert (scene.limiter.running, scene.limiter.suspended) == (0, 0)


@pytest.mark.parametrize(("length", "status"), [(989, 200), (990, 413)])
async def test_fields_that_are_too_large_are_413(length: int, status: int) -> None:
    """Only the fields count, as compact JSON, not the message around them."""
    scene = HandlerScene()
    scene.ask("Echo", "r-1", {"text": "x" * length})
    [(_, payload)] = scene.payloads()
    assert payload["status_code"] == status
    if status == 413:
        assert payload["message"] == "the fields are 1001 bytes; at most 1000 are taken"


async def test_an_action_may_check_the_size_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    """It gets fields of any size."""
    monkeypatch.setattr(Echo, "limits_size", True)
    scene = HandlerScene()
    scene.ask("Echo", "r-1", {"text": "x" * FIELDS_BYTES})
    assert scene.answers() == {"r-1": 200}


async def test_fields_that_are_nested_too_deeply_are_413() -> None:
    """What is too large to be taken unseen must be measured, and this cannot be."""
    scene = HandlerScene()
    scene.handler.accept("Echo", orjson.loads("[" * 500 + "]" * 500), "r-1", None, None, 1_001)
    assert scene.answers() == {"r-1": 413}


async def test_fields_that_are_not_json_are_an_incident(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """An answer that cannot be written is a 500 with an id, not a caller who hears nothing."""
    monkeypatch.setattr(Returning, "outcome", ActionResponse(status_code=200, fields=object()))
    scene = HandlerScene()
    scene.ask("Returning", "r-1")
    await scene.handler.close(60)
    [(ref, payload)] = scene.payloads()
    assert (ref, payload["status_code"]) == ("r-1", 500)
    assert caplog.records[-1].incident in payload["message"]


async def test_a_successful_request_logs_nothing(caplog: pytest.LogCaptureFixture) -> None:
    """At INFO: what is answered is counted, and a line would cost as much as the answer."""
    caplog.set_level("INFO")
    scene = HandlerScene()
    for number in range(3):
        scene.ask("Echo", f"r-{number}")
    await scene.handler.close(60)
    assert set(scene.answers().values()) == {200}
    assert caplog.records == []


async def test_each_answer_is_counted_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """By action and code, also what was refused; a name that is not offered is `unknown`."""
    requests = metrics.Requests()
    requests.offer(["Echo", "Hold"])
    monkeypatch.setattr(metrics, "REQUESTS", requests)
    scene = HandlerScene()
    for action in ("Echo", "Nope", ["Echo"]):
        scene.ask(action, f"r-{action}")
    await scene.handler.close(60)
    scene.ask("Echo", "r-late")
    answers, _ = requests.collect()
    assert {
        (sample.labels["action"], sample.labels["code"]): sample.value
        for sample in answers.samples
        if sample.name.endswith("_total")
    } == {("Echo", "200"): 1, ("unknown", "404"): 2, ("Echo", "503"): 1}


async def test_a_secret_is_not_for_peers() -> None:
    """Where the answer has to go through Redis, a 503 says what to do instead."""
    scene = HandlerScene(more=Secretive)
    scene.ask("Secretive", "r-1")
    await scene.handler.close(1.0)
    given: list[Any] = []
    scene.outbox.divert(given.append)
    [answer] = given
    payload = orjson.loads(answer.to_text(0.0).partition(b"\n")[2])
    assert (payload["status_code"], payload["fields"]) == (503, None)
    assert "revoke it and create another" in payload["message"]
