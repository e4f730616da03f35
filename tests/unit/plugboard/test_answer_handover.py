"""The answer handover: which replica leaves at once, which stays, and where answers go."""

import asyncio
from collections import deque
from typing import Any, override

import pytest

from core.errors import UnavailableError
from core.interfaces import AnswerRelay, PeerCounts
from core.observability import metrics
from core.phoenix.channel import Channel
from core.plugboard.answer_handover import AnswerHandover, HandoverTimes
from core.rpc.outbox import PLUGBOARD_MEMORY, Answer, Outbox

SERVICE = 3
QUICK = HandoverTimes(retry=0.001, serve_retry=0.001)


class RelayInMemory(AnswerRelay):
    """A list and a register as in Redis, one for all replicas of a test."""

    def __init__(self, name: str, shared: "Shared") -> None:
        self._name = name
        self._shared = shared

    @override
    async def next_answer(self, service_id: int, *, serving: bool) -> str | None:
        if serving:
            self._show("serving")
        await self._shared.there.wait()
        text = self._shared.texts.popleft()
        if not self._shared.texts:
            self._shared.there.clear()
        return text.decode()

    @override
    async def hand_over(self, service_id: int, text: bytes) -> None:
        self._shared.look()
        self._shared.texts.append(text)
        self._shared.there.set()

    @override
    async def leave(self, service_id: int, seconds: float) -> PeerCounts:
        self._shared.look()
        return self._show("leaving")

    @override
    async def deregister(self, service_id: int) -> PeerCounts:
        return self._show(None)

    def _show(self, role: str | None) -> PeerCounts:
        roles = self._shared.roles
        roles.pop(self._name, None)
        counts = PeerCounts(*(list(roles.values()).count(each) for each in ("serving", "leaving")))
        if role:
            roles[self._name] = role
        self._shared.shown.set()
        return counts


class Shared:
    """What the relays of a test share; `failures` is how often it will be away."""

    def __init__(self) -> None:
        self.texts: deque[bytes] = deque()
        self.there = asyncio.Event()
        self.roles: dict[str, str] = {}
        self.shown = asyncio.Event()
        self.failures = 0

    def look(self) -> None:
        if self.failures:
            self.failures -= 1
            raise UnavailableError


class Replica:
    """A handover with an outbox whose channel is not joined: what is sent is kept there."""

    def __init__(
        self, name: str, shared: Shared, max_bytes: int = 10_000, times: HandoverTimes = QUICK
    ) -> None:
        self.outbox = Outbox(Channel("service"))
        self.woken = asyncio.Event()
        self.handover = AnswerHandover(
            RelayInMemory(name, shared),
            self.outbox,
            self.woken.set,
            refusal=b'{"refused":1}',
            max_bytes=max_bytes,
            times=times,
        )
        self.handover.joined(SERVICE)

    def kept(self) -> list[tuple[str, Any]]:
        """Refs and payloads of the answers that wait in the outbox."""
        return [(each.ref, each.payload) for each in self.outbox.unsent.take()]


def answer(ref: str, age: float = 0.0) -> Answer:
    """An answer to a request that came in so many seconds ago."""
    return Answer(ref, {"message": ref}, asyncio.get_running_loop().time() - age)


async def test_a_replica_with_a_peer_gives_its_answers_to_it() -> None:
    """What was kept and what comes later goes over the list, and a peer sends it."""
    shared = Shared()
    leaver, peer = Replica("a", shared), Replica("b", shared)
    leaver.outbox.send(answer("kept"))
    serving = asyncio.create_task(peer.handover.serve())
    await shared.shown.wait()
    assert await leaver.handover.begin(consumers=2, grace=5)
    leaver.outbox.send(answer("later"))
    await leaver.handover.finish(5)
    await peer.woken.wait()
    refs = []
    while len(refs) < 2:
        refs += [ref for ref, _ in peer.kept()]
        await asyncio.sleep(0)
    assert refs == ["kept", "later"]
    assert shared.roles == {"b": "serving"}
    serving.cancel()


@pytest.mark.parametrize("consumers", [0, 1])
async def test_the_only_consumer_at_the_plugboard_stays(consumers: int) -> None:
    """The Plugboard's count wins over a dead peer that is still in the register."""
    shared = Shared()
    shared.roles["dead"] = "serving"
    assert not await Replica("a", shared).handover.begin(consumers, grace=5)


async def test_a_peer_that_does_not_serve_the_list_is_none() -> None:
    """A joined consumer that does not read the list is not relied on."""
    replica = Replica("a", Shared())
    assert not await replica.handover.begin(consumers=2, grace=5)
    replica.outbox.send(answer("mine"))
    assert [ref for ref, _ in replica.kept()] == ["mine"]


async def test_without_redis_a_replica_stays() -> None:
    """Neither no relay nor one that is away can be relied on."""
    shared = Shared()
    shared.roles["b"], shared.failures = "serving", 1
    assert not await Replica("a", shared).handover.begin(consumers=2, grace=5)
    alone = AnswerHandover(None, Outbox(Channel("service")), lambda: None)
    alone.joined(SERVICE)
    assert not await alone.begin(consumers=2, grace=5)
    await alone.finish(5)
    await alone.serve()


async def test_a_relay_that_hangs_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """The grace is for the actions."""
    replica = Replica("a", Shared(), times=HandoverTimes(decision=0.001))

    async def hang(service_id: int, seconds: float) -> PeerCounts:
        await asyncio.Event().wait()
        raise AssertionError

    monkeypatch.setattr(RelayInMemory, "leave", staticmethod(hang))
    assert not await replica.handover.begin(consumers=2, grace=5)


async def test_of_those_that_stop_together_the_last_stays_for_the_others() -> None:
    """Each counts the others after it has left the register; the last waits for all of them."""
    shared = Shared()
    shared.roles |= {"a": "serving", "b": "serving", "c": "serving"}
    a, b, c = (Replica(name, shared) for name in "abc")
    decisions = [await each.handover.begin(consumers=3, grace=5) for each in (a, b, c)]
    assert decisions == [True, True, False]
    waiting = asyncio.create_task(c.handover.finish(60))
    await a.handover.finish(5)
    await asyncio.sleep(0.01)
    assert not waiting.done()
    await b.handover.finish(5)
    await waiting
    assert shared.roles == {}


async def test_the_last_does_not_wait_beyond_its_grace() -> None:
    """A leaver that died is not waited for without end."""
    shared = Shared()
    shared.roles["dead"] = "leaving"
    await Replica("a", shared).handover.finish(0)


async def test_an_answer_is_tried_until_it_is_in_the_list_or_too_old() -> None:
    """Redis errors are retried; answers past the Plugboard's timeout are not sent."""
    shared = Shared()
    shared.roles["b"] = "serving"
    leaver = Replica("a", shared)
    assert await leaver.handover.begin(consumers=2, grace=5)
    shared.failures = 3
    leaver.outbox.send(answer("late", age=PLUGBOARD_MEMORY))
    leaver.outbox.send(answer("patient", age=1.0))
    await leaver.handover.finish(5)
    [text] = shared.texts
    now = asyncio.get_running_loop().time()
    given = Answer.from_text(text.decode(), now)
    assert given is not None
    assert given.ref == "patient"
    assert 0.9 < now - given.received_at < 5


async def test_deciding_twice_decides_once() -> None:
    """A service that was deleted and is then stopped leaves one time."""
    shared = Shared()
    shared.roles["b"] = "serving"
    leaver = Replica("a", shared)
    asked = [leaver.handover.begin(consumers=2, grace=5) for _ in range(2)]
    assert await asyncio.gather(*asked) == [True, True]
    leaver.outbox.send(answer("once"))
    await leaver.handover.finish(5)
    assert len(shared.texts) == 1


async def test_what_is_no_answer_is_passed_over() -> None:
    """Malformed entries of the list are skipped."""
    shared = Shared()
    replica = Replica("a", shared)
    shared.texts.extend(
        [b"", b"{", b'["r", 1]\n[]', b"[7, 1]\n{}", b'["r"]\n{}', b'["r", null]\n{}']
    )
    shared.texts.append(answer("good").to_text(asyncio.get_running_loop().time()))
    shared.there.set()
    serving = asyncio.create_task(replica.handover.serve())
    await replica.woken.wait()
    assert [ref for ref, _ in replica.kept()] == ["good"]
    serving.cancel()


async def test_an_unexpected_error_does_not_end_the_serving(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The error is logged and the list is read again."""
    shared = Shared()
    replica = Replica("a", shared)
    shared.there.set()  # with nothing there: the relay of these tests then raises
    serving = asyncio.create_task(replica.handover.serve())
    while "reading peers' answers failed" not in caplog.text:  # noqa: ASYNC110 -- a log offers no event
        await asyncio.sleep(0.001)
    shared.texts.append(answer("good").to_text(asyncio.get_running_loop().time()))
    await replica.woken.wait()
    assert [ref for ref, _ in replica.kept()] == ["good"]
    serving.cancel()


async def test_answers_that_wait_to_be_handed_over_are_bounded() -> None:
    """One answer may be larger than the limit; further ones are replaced by the refusal."""
    shared = Shared()
    shared.roles["b"], before = "serving", metrics.HANDOVER_FULL._value.get()
    leaver = Replica("a", shared, max_bytes=100)
    assert await leaver.handover.begin(consumers=2, grace=5)
    for ref in ("alone", "more", "even more"):
        leaver.outbox.send(answer(ref)._replace(size=1000))
    await leaver.handover.finish(5)
    payloads = [text.partition(b"\n")[2] for text in shared.texts]
    assert payloads == [b'{"message":"alone"}', b'{"refused":1}', b'{"refused":1}']
    assert metrics.HANDOVER_FULL._value.get() == before + 2
    leaver.outbox.send(answer("later")._replace(size=1000))  # there is room again
    assert leaver.handover._pending_bytes == 1000
