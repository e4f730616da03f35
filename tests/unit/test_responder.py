"""Every request taken on is answered once, whatever becomes of it."""

import asyncio
from typing import Any

import orjson
import pytest

from core import log_context, metrics
from core.action_response import ActionResponse
from core.action_runner import ActionRunner
from core.channel import Channel
from core.dispatch import Dispatcher
from core.outbound import WORTH_SENDING, Outbox
from core.replies import REPLY_FORMATS
from core.request_desk import RequestDesk
from core.responder import Responder
from tests.unit.actions_for_tests import Echo, Hold, Returning


class Office:
    """A responder whose answers, kept for want of a channel, can be read."""

    def __init__(
        self, *, at_once: int = 2, waiting: int = 1, more: type[ActionRunner] = Returning
    ) -> None:
        actions = {cls.__name__: cls for cls in (Echo, Hold, more)}
        self._outbox = Outbox(Channel("service"))
        self._news = asyncio.Event()
        self.responder = Responder(
            Dispatcher(actions, timeout=60, run_blocking=asyncio.to_thread),
            RequestDesk(at_once=at_once, waiting=waiting),
            REPLY_FORMATS["vera"],
            self._outbox,
            self._news.set,
        )

    def ask(self, action: object, ref: object, fields: object = None) -> None:
        """Hand over one request."""
        self.responder.accept(action, {} if fields is None else fields, ref, None, None)

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
    await office.responder.close(60)
    assert office.answers() == {"runs": 200, "waits": 200}


async def test_closing_finishes_what_was_taken_on(hold: type[Hold]) -> None:
    """While closing, old requests are finished and new ones are refused."""
    office = Office()
    office.ask("Hold", "old")
    await hold.begun.wait()
    closing = asyncio.create_task(office.responder.close(60))
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
    await office.responder.close(0)
    assert office.answers() == {"running": 503, "waiting": 503}
    async with asyncio.timeout(10):  # a ceiling: it was cancelled
        await hold.ended.wait()
    assert office.answers() == {}


async def test_the_log_of_a_request_knows_its_ref() -> None:
    """While a request is worked on, lines carry its ref and action, and nobody else's."""
    seen: list[dict[str, object]] = []

    class Seeing(Echo):
        async def run(self, client: Any, websocket: Any) -> ActionResponse:
            seen.append(log_context.fields())
            return await super().run(client, websocket)

    office = Office(more=Seeing)
    office.ask("Seeing", "r-1")
    office.ask("Seeing", "r-2")
    await office.responder.close(60)
    assert seen == [{"ref": ref, "action": "Seeing"} for ref in ("r-1", "r-2")]
    assert log_context.fields() == {}


async def test_a_ref_that_comes_twice_is_answered_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The Plugboard takes the first answer; a second one is not sent."""
    Hold.prepare(monkeypatch)
    office = Office(at_once=1, waiting=1)
    office.ask("Hold", "twice", {})
    office.ask("Hold", "twice", {})
    Hold.go.set()
    await office.responder.close(60)
    assert [ref for ref, _ in office.payloads()] == ["twice"]


async def test_fields_that_are_not_json_are_an_incident(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """An answer that cannot be written is a 500 with an id, not a caller who hears nothing."""
    monkeypatch.setattr(Returning, "outcome", ActionResponse(status_code=200, fields=object()))
    office = Office()
    office.ask("Returning", "r-1")
    await office.responder.close(60)
    [(ref, payload)] = office.payloads()
    assert (ref, payload["status_code"]) == ("r-1", 500)
    assert caplog.records[-1].incident in payload["message"]


async def test_a_request_that_goes_well_makes_no_line(caplog: pytest.LogCaptureFixture) -> None:
    """At INFO: what is answered is counted, and a line would cost as much as the answer."""
    caplog.set_level("INFO")
    office = Office()
    for number in range(3):
        office.ask("Echo", f"r-{number}")
    await office.responder.close(60)
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
    await office.responder.close(60)
    office.ask("Echo", "r-late")
    answers, _ = requests.collect()
    assert {
        (sample.labels["action"], sample.labels["code"]): sample.value
        for sample in answers.samples
        if sample.name.endswith("_total")
    } == {("Echo", "200"): 1, ("unknown", "404"): 2, ("Echo", "503"): 1}
