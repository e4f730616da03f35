"""What a Plugboard sends, or does not read, is bounded in bytes and not only in number."""

import asyncio
import sys
from typing import Any

import orjson
import pytest

from core.concurrency.backoff import Backoff
from core.observability import metrics
from core.phoenix.channel import Channel
from core.phoenix.events import Dropped, Effect
from core.phoenix.lenient_json import parsed_bytes
from core.plugboard.session import Limits, PlugboardSession
from core.rpc.concurrency_limiter import ConcurrencyLimiter
from core.rpc.outbox import Answer, Outbox, UnsentAnswers
from tests.unit.rpc.test_request_handler import HandlerScene
from tests.unit.support.actions_for_tests import Hold


def memory_of(value: Any) -> int:
    """What a value that was read from JSON takes up, and all inside it."""
    inside = [*value.values(), *value] if isinstance(value, dict) else value
    deeper = sum(map(memory_of, inside)) if isinstance(value, dict | list) else 0
    return sys.getsizeof(value) + deeper


@pytest.mark.parametrize(
    "text",
    [
        "[" + "[]," * 1000 + "1]",
        "[" + "{}," * 1000 + "1]",
        "[" + '{"a":1},' * 1000 + "1]",
        "[" + '{"a":[0.5]},' * 1000 + "1]",
        "[" + "0.5," * 1000 + "1]",
        "[" + '"a",' * 1000 + "1]",
        '{"body": "' + "x" * 10_000 + '"}',
        '{"body": "' + "x" * 10_000 + '\U0001f600"}',
        '{"body": "' + "x" * 10_000 + r'\ud83d\ude00"}',
        "[" * 200 + "]" * 200,
        "{" + ",".join(f'"k{number}":{{}}' for number in range(1000)) + "}",
    ],
)
def test_parsed_json_is_accounted_for(text: str) -> None:
    """The estimate is not below what it takes up, and not many times as much."""
    real = memory_of(orjson.loads(text))
    assert real <= parsed_bytes(text.encode()) <= 5 * real


async def test_requests_are_bounded_by_the_memory_they_hold() -> None:
    """One alone may hold more; else what would be too much is refused, until others have ended."""
    ended = asyncio.Event()
    limiter = ConcurrencyLimiter(max_running=2, max_waiting=10, max_bytes=1000)

    async def work() -> None:
        await ended.wait()

    assert limiter.submit(work, 5000)
    assert not limiter.submit(work, 1)
    ended.set()
    await limiter.wait_until_idle()
    ended.clear()
    assert [limiter.submit(work, 300) for _ in range(5)] == [True, True, True, False, False]
    assert (limiter.running, limiter.waiting, limiter.held_bytes) == (2, 1, 900)
    ended.set()
    await limiter.wait_until_idle()
    assert limiter.held_bytes == 0


async def test_what_is_forgotten_holds_nothing() -> None:
    """A limiter that was abandoned has given back what waited and what ran."""
    limiter = ConcurrencyLimiter(max_running=1, max_waiting=10, max_bytes=1000)
    for _ in range(2):
        limiter.submit(asyncio.Event().wait, 300)  # type: ignore[arg-type]
    limiter.cancel_all()
    await limiter.wait_until_idle()
    assert limiter.held_bytes == 0


async def test_a_request_beyond_the_memory_is_503(monkeypatch: pytest.MonkeyPatch) -> None:
    """Like one beyond the number that may wait."""
    scene = HandlerScene()
    Hold.prepare(monkeypatch)
    scene.handler.accept("Hold", {}, "r-1", None, None, held_bytes=300 * 1024 * 1024)
    scene.handler.accept("Echo", {}, "r-2", None, None, held_bytes=1)
    assert scene.answers() == {"r-2": 503}
    scene.limiter.cancel_all()


async def test_a_ref_without_end_is_not_remembered() -> None:
    """Refs that were answered are kept; so one of megabytes counts as none."""
    scene, before = HandlerScene(), metrics.WITHOUT_REF._value.get()
    scene.ask("Echo", "r" * 100_000)
    assert scene.answers() == {}
    assert metrics.WITHOUT_REF._value.get() == before + 1


def test_answers_that_wait_for_a_join_are_bounded() -> None:
    """The oldest go first; one alone stays, however large."""
    unsent = UnsentAnswers(max_bytes=1000)
    unsent.keep(*(Answer(f"r-{number}", {}, 0.0, size=300) for number in range(5)))
    assert [answer.ref for answer in unsent.worth_sending(0.0)] == ["r-2", "r-3", "r-4"]
    assert unsent.dropped == 2
    unsent.keep(Answer("large", {}, 0.0, size=5000))
    assert [answer.ref for answer in unsent.take()] == ["large"]


class DeafTransport:
    """A socket to a Plugboard that does not read."""

    def __init__(self) -> None:
        self.aborted = 0

    def is_closing(self) -> bool:
        return self.aborted > 0

    def abort(self) -> None:
        self.aborted += 1


class DeafConnection:
    """Takes nothing more to write."""

    def __init__(self) -> None:
        self.transport = DeafTransport()

    def may_write(self) -> bool:
        return False


async def test_a_plugboard_that_does_not_read_is_given_up() -> None:
    """Once more than so many bytes of answers wait for it; they are sent after the next join."""
    channel = Channel("service", rejoin=Backoff())
    channel.opened(0.0)
    [join] = (orjson.loads(text) for text in channel.outgoing())
    reply = {"status": "ok", "response": {}}
    channel.received(orjson.dumps([join[0], join[1], "service", "phx_reply", reply]), 0.0)
    outbox = Outbox(channel, 10_000)
    session = PlugboardSession(channel, outbox, lambda _: None, Limits(unread_bytes=1000))
    websocket = DeafConnection()
    session.websocket = websocket  # type: ignore[assignment]
    aborted = []
    for number in range(5):
        outbox.send(Answer(f"r-{number}", {}, 0.0, size=300))
        session._flush()
        aborted.append(websocket.transport.aborted)
    assert aborted == [0, 0, 0, 1, 1]
    channel.closed("gone")
    outbox.channel_lost()
    assert len(outbox.unsent.take()) == 5


async def test_messages_that_cannot_be_split_are_bounded_while_they_are_read() -> None:
    """Messages beyond the limit are dropped; the parsed ones reach the channel afterwards."""
    effects: list[Effect] = []
    channel = Channel("service")
    session = PlugboardSession(
        channel, Outbox(channel), effects.append, Limits(unread_bytes=600_000)
    )
    text = b"[" + b"x" * 400_000
    for _ in range(2):
        session._receive(text, 0.0)
    assert [str(each.detail) for each in effects if isinstance(each, Dropped)] == [
        "too many bytes that cannot be split"
    ]
    await asyncio.gather(*session._parsing)
    assert [type(each) for each in effects] == [Dropped, Dropped]
    session._receive(text, 0.0)  # there is room again
    await asyncio.gather(*session._parsing)
    assert len(effects) == 3
    assert "not JSON" in str(effects[2])
