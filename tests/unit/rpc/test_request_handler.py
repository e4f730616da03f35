"""Every request taken on is answered once, whatever becomes of it."""

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
from core.rpc.outbox import WORTH_SENDING, Outbox
from core.rpc.request_handler import REPLY_FORMATS, RequestHandler, RequestLimits
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


class Office:
    """A handler whose answers, kept for want of a channel, can be read."""

    def __init__(
        self,
        *,
        at_once: int = 2,
        waiting: int = 1,
        more: type[ActionRunner] = Returning,
        seconds: float = 60.0,
    ) -> None:
        actions = {cls.__name__: cls for cls in (Echo, Hold, Stubborn, more)}
        self.limiter = ConcurrencyLimiter(at_once=at_once, waiting=waiting)
        self._outbox = Outbox(Channel("service"))
        self._news = asyncio.Event()
        self.handler = RequestHandler(
            Dispatcher(actions, run_blocking=asyncio.to_thread),
            self.limiter,
            RequestLimits(seconds, FIELDS_BYTES),
            REPLY_FORMATS["vera"],
            self._outbox,
            self._news.set,
        )

    def ask(self, action: object, ref: object, fields: object = None) -> None:
        """Hand over one request."""
        fields = {} if fields is None else fields
        size = len(orjson.dumps(fields)) + 100
        self.handler.accept(action, fields, ref, self.handler, None, size)

    def answers(self) -> dict[str, int]:
        """The status codes given since the last look, by ref."""
        return {ref: payload["status_code"] for ref, payload in self.payloads()}

    def payloads(self) -> list[tuple[str, Any]]:
        """The answers given since the last look."""
        now = asyncio.get_running_loop().time()
        kept = list(self._outbox.unsent.worth_sending(now))
        assert all(now - answer.received_at < WORTH_SENDING for answer in kept)
        return [(answer.ref, orjson.loads(orjson.dumps(answer.payload))) for answer in kept]

    async def next_answers(self) -> dict[str, int]:
        """The same, as soon as there are some."""
        await self._news.wait()
        self._news.clear()
        return self.answers()


@pytest.fixture
def hold(monkeypatch: pytest.MonkeyPatch) -> type[Hold]:
    """`Hold` with events of this test's loop."""
    Hold.prepare(monkeypatch)
    return Hold


async def test_a_request_is_answered_under_its_ref() -> None:
    """The answer carries the ref of the request."""
    office = Office()
    office.ask("Echo", "r-1")
    assert await office.next_answers() == {"r-1": 200}


@pytest.mark.parametrize("ref", [None, 1, ["r"], {}])
async def test_a_request_without_a_ref_is_logged(
    ref: object, caplog: pytest.LogCaptureFixture
) -> None:
    """Nobody could be answered, so nothing is run."""
    office = Office()
    office.ask("Echo", ref)
    assert "without a ref" in caplog.text
    assert office.answers() == {}


async def test_beyond_the_bound_the_answer_is_503_at_once(hold: type[Hold]) -> None:
    """One runs, one waits, the third hears at once that there are too many."""
    office = Office(at_once=1, waiting=1)
    for ref in ("runs", "waits", "refused"):
        office.ask("Hold", ref)
    assert office.answers() == {"refused": 503}
    hold.go.set()
    await office.handler.close(60)
    assert office.answers() == {"runs": 200, "waits": 200}


async def test_closing_finishes_what_was_taken_on(hold: type[Hold]) -> None:
    """While closing, old requests are finished and new ones are refused."""
    office = Office()
    office.ask("Hold", "old")
    await hold.begun.wait()
    closing = asyncio.create_task(office.handler.close(60))
    await asyncio.sleep(0)
    office.ask("Echo", "new")
    assert office.answers() == {"new": 503}
    hold.go.set()
    await closing
    assert office.answers() == {"old": 200}


async def test_what_is_not_finished_in_time_is_answered_503(hold: type[Hold]) -> None:
    """After the grace nobody is left waiting for the Plugboard's own timeout."""
    office = Office(at_once=1)
    office.ask("Hold", "running")
    office.ask("Echo", "waiting")
    await hold.begun.wait()
    await office.handler.close(0)
    assert office.answers() == {"running": 503, "waiting": 503}
    async with asyncio.timeout(10):  # a ceiling: it was cancelled
        await hold.ended.wait()
    assert office.answers() == {}


async def test_the_log_of_a_request_knows_its_ref() -> None:
    """While a request is worked on, lines carry its ref and action, and nobody else's."""
    seen: list[dict[str, object]] = []

    class Seeing(Echo):
        async def run(self, client: Any, websocket: Any) -> ActionResponse:
            seen.append(request_context.fields())
            return await super().run(client, websocket)

    office = Office(more=Seeing)
    office.ask("Seeing", "r-1")
    office.ask("Seeing", "r-2")
    await office.handler.close(60)
    assert seen == [{"ref": ref, "action": "Seeing"} for ref in ("r-1", "r-2")]
    assert request_context.fields() == {}


async def test_a_ref_that_comes_twice_is_answered_once(hold: type[Hold]) -> None:
    """The second one is dropped and counted, whether the first one runs, waits or is answered."""
    office, before = Office(at_once=1, waiting=1), metrics.DUPLICATE_REFS._value.get()
    for ref in ("runs", "waits", "runs", "waits"):
        office.ask("Hold", ref)
    hold.go.set()
    await office.next_answers()
    await office.limiter.idle()
    office.answers()
    office.ask("Echo", "runs")
    office.ask("Echo", "new")
    assert office.answers() == {"new": 200}
    assert metrics.DUPLICATE_REFS._value.get() - before == 3


async def test_refs_are_not_remembered_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of those answered the latest are known, and the room for them has an end."""
    monkeypatch.setattr("core.rpc.request_handler.REMEMBERED", 2)
    office = Office()
    for ref in ("a", "b", "c", "d", "e"):
        office.ask("Echo", ref)
    office.answers()
    for ref in ("a", "d", "e"):
        office.ask("Echo", ref)
    assert office.answers() == {"a": 200}


async def test_a_slow_action_is_cancelled_and_answered_504(
    hold: type[Hold], caplog: pytest.LogCaptureFixture
) -> None:
    """When its time is over the caller is told so, and the action ends."""
    office = Office(seconds=SOON)
    office.ask("Hold", "slow")
    await office._news.wait()
    [(ref, payload)] = office.payloads()
    assert (ref, payload["status_code"]) == ("slow", 504)
    assert payload["message"] == "Hold took longer than 0.005 s"
    assert [(record.action, record.ref) for record in caplog.records] == [("Hold", "slow")]
    async with asyncio.timeout(10):  # a ceiling
        await hold.ended.wait()
    await office.limiter.idle()


async def test_what_ignores_its_end_is_answered_all_the_same(hold: type[Hold]) -> None:
    """An action that goes on when cancelled keeps its room, but not its caller waiting."""
    office = Office(seconds=SOON)
    office.ask("Stubborn", "r-1")
    assert await office.next_answers() == {"r-1": 504}
    assert office.limiter.running == 1
    hold.go.set()
    await office.limiter.idle()
    assert office.answers() == {}


async def test_what_waits_too_long_is_not_run(hold: type[Hold]) -> None:
    """Its time counts from its receipt; when that is over it is answered with 504 and counted."""

    class Late(Echo):
        ran: ClassVar[list[str]] = []

        async def run(self, client: Any, websocket: Any) -> ActionResponse:
            self.ran.append(self.text)
            return await super().run(client, websocket)

    office, before = Office(at_once=1, seconds=SOON, more=Late), metrics.EXPIRED._value.get()
    office.ask("Stubborn", "runs")
    office.ask("Late", "waits", {"text": "too late"})
    answers: dict[str, int] = {}
    while len(answers) < 2:
        answers |= await office.next_answers()
    assert answers == {"runs": 504, "waits": 504}
    assert metrics.EXPIRED._value.get() - before == 1
    hold.go.set()
    await office.limiter.idle()
    office.ask("Late", "new", {"text": "in time"})
    assert office.answers() == {"new": 200}
    assert Late.ran == ["in time"]


async def test_an_action_may_ask_what_time_is_left(hold: type[Hold]) -> None:
    """It is counted from the receipt, so waiting has used some of it up."""
    left: list[float] = []

    class Asking(Echo):
        async def run(self, client: Any, websocket: Any) -> ActionResponse:
            left.append(client.seconds_left())
            return await super().run(client, websocket)

    office = Office(at_once=1, more=Asking)
    assert office.handler.seconds_left() == 60.0
    office.ask("Hold", "runs")
    office.ask("Asking", "waits")
    [received_at] = [r.received_at for r in office.handler._unanswered.values() if not r.task]
    hold.go.set()
    await office.limiter.idle()
    now = asyncio.get_running_loop().time()
    assert 60.0 - (now - received_at) <= left[0] < 60.0


async def test_a_request_that_only_waits_gives_way(hold: type[Hold]) -> None:
    """Another runs in its place; asking for it twice gives up one place only."""

    class Patient(Echo):
        async def run(self, client: Any, websocket: Any) -> ActionResponse:
            with client.giving_way(), client.giving_way():
                await hold.go.wait()
            return await super().run(client, websocket)

    office = Office(at_once=1, waiting=2, more=Patient)
    for ref in ("p-1", "p-2"):
        office.ask("Patient", ref)
    office.ask("Echo", "e-1")
    answers: dict[str, int] = {}
    while "e-1" not in answers:
        answers |= await office.next_answers()
    assert answers == {"e-1": 200}
    assert (office.limiter.running, office.limiter.aside) == (0, 2)
    hold.go.set()
    await office.limiter.idle()
    assert office.answers() == {"p-1": 200, "p-2": 200}
    assert (office.limiter.running, office.limiter.aside) == (0, 0)


@pytest.mark.parametrize(("length", "status"), [(989, 200), (990, 413)])
async def test_fields_that_are_too_large_are_413(length: int, status: int) -> None:
    """The fields alone count, as compact JSON, whatever the message around them adds."""
    office = Office()
    office.ask("Echo", "r-1", {"text": "x" * length})
    [(_, payload)] = office.payloads()
    assert payload["status_code"] == status
    if status == 413:
        assert payload["message"] == "the fields are 1001 bytes; at most 1000 are taken"


async def test_an_action_may_see_to_the_size_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    """It gets the fields, whatever their size."""
    monkeypatch.setattr(Echo, "limits_size", True)
    office = Office()
    office.ask("Echo", "r-1", {"text": "x" * FIELDS_BYTES})
    assert office.answers() == {"r-1": 200}


async def test_fields_that_are_nested_too_deeply_are_413() -> None:
    """What is too large to be taken unseen must be measured, and this cannot be."""
    office = Office()
    office.handler.accept("Echo", orjson.loads("[" * 500 + "]" * 500), "r-1", None, None, 1_001)
    assert office.answers() == {"r-1": 413}


async def test_fields_that_are_not_json_are_an_incident(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """An answer that cannot be written is a 500 with an id, not a caller who hears nothing."""
    monkeypatch.setattr(Returning, "outcome", ActionResponse(status_code=200, fields=object()))
    office = Office()
    office.ask("Returning", "r-1")
    await office.handler.close(60)
    [(ref, payload)] = office.payloads()
    assert (ref, payload["status_code"]) == ("r-1", 500)
    assert caplog.records[-1].incident in payload["message"]


async def test_a_request_that_goes_well_makes_no_line(caplog: pytest.LogCaptureFixture) -> None:
    """At INFO: what is answered is counted, and a line would cost as much as the answer."""
    caplog.set_level("INFO")
    office = Office()
    for number in range(3):
        office.ask("Echo", f"r-{number}")
    await office.handler.close(60)
    assert set(office.answers().values()) == {200}
    assert caplog.records == []


async def test_each_answer_is_counted_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """By action and code, also what was refused; a name that is not offered is `unknown`."""
    requests = metrics.Requests()
    requests.offer(["Echo", "Hold"])
    monkeypatch.setattr(metrics, "REQUESTS", requests)
    office = Office()
    for action in ("Echo", "Nope", ["Echo"]):
        office.ask(action, f"r-{action}")
    await office.handler.close(60)
    office.ask("Echo", "r-late")
    answers, _ = requests.collect()
    assert {
        (sample.labels["action"], sample.labels["code"]): sample.value
        for sample in answers.samples
        if sample.name.endswith("_total")
    } == {("Echo", "200"): 1, ("unknown", "404"): 2, ("Echo", "503"): 1}


async def test_a_secret_is_not_for_peers() -> None:
    """Where the answer has to go through Redis, a 503 says what to do instead."""
    office = Office(more=Secretive)
    office.ask("Secretive", "r-1")
    await office.handler.close(1.0)
    given: list[Any] = []
    office._outbox.divert(given.append)
    [answer] = given
    told = orjson.loads(answer.to_text(0.0).partition(b"\n")[2])
    assert (told["status_code"], told["fields"]) == (503, None)
    assert "revoke the new key" in told["message"]
