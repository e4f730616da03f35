"""Answers that cannot be sent now are sent later, while their callers wait."""

from typing import Any

import orjson
import pytest

from core.phoenix.channel import Channel
from core.rpc.outbox import PLUGBOARD_MEMORY, Answer, Outbox, UnsentAnswers


def an_answer(number: int, received_at: float = 0.0) -> Answer:
    """An answer to a request of that time."""
    return Answer(f"ref-{number}", {"message": number}, received_at)


def join(channel: Channel, now: float = 0.0) -> None:
    """Open a socket and let the server accept the join."""
    channel.opened(now)
    [join] = channel.outgoing()
    join_ref = orjson.loads(join)[0]
    reply = [join_ref, join_ref, "service", "phx_reply", {"status": "ok", "response": {}}]
    channel.received(orjson.dumps(reply), now)


@pytest.fixture
def channel() -> Channel:
    """A channel without a socket."""
    return Channel("service")


def refs(texts: list[bytes]) -> list[Any]:
    """The refs of the messages written."""
    return [orjson.loads(text)[1] for text in texts]


def test_kept_answers_come_out_once_and_in_order() -> None:
    """What was kept is sent after the next join, and only after that one."""
    unsent = UnsentAnswers()
    unsent.keep(an_answer(1), an_answer(2))
    unsent.keep(an_answer(3))
    assert [answer.ref for answer in unsent.worth_sending(1.0)] == ["ref-1", "ref-2", "ref-3"]
    assert list(unsent.worth_sending(1.0)) == []


def test_an_answer_that_comes_too_late_is_dropped_and_counted() -> None:
    """After half a minute the Plugboard has given up on a request."""
    unsent = UnsentAnswers()
    unsent.keep(an_answer(1, received_at=0.0), an_answer(2, received_at=0.5))
    assert [answer.ref for answer in unsent.worth_sending(PLUGBOARD_MEMORY)] == ["ref-2"]
    assert unsent.dropped == 1


def test_an_answer_goes_through_a_joined_channel(channel: Channel) -> None:
    """While joined an answer is pushed at once, as `response` with the request's ref."""
    join(channel)
    outbox = Outbox(channel)
    outbox.send(an_answer(1))
    [text] = outbox.drain()
    assert orjson.loads(text)[1:] == ["ref-1", "service", "response", {"message": 1}]
    outbox.written()
    outbox.channel_lost()
    assert list(outbox.unsent.worth_sending(0.0)) == []


def test_an_answer_without_a_channel_waits_for_the_join(channel: Channel) -> None:
    """What is finished while disconnected is pushed when the channel is joined."""
    outbox = Outbox(channel)
    outbox.send(an_answer(1))
    assert refs(outbox.drain()) == []
    join(channel)
    outbox.joined(1.0)
    assert refs(outbox.drain()) == ["ref-1"]


def test_what_was_never_drained_is_sent_again(channel: Channel) -> None:
    """A socket that goes away before the writer's turn takes no answer with it."""
    join(channel)
    outbox = Outbox(channel)
    outbox.send(an_answer(1))
    channel.closed("gone")
    outbox.channel_lost()
    join(channel, 1.0)
    outbox.joined(1.0)
    assert refs(outbox.drain()) == ["ref-1"]


def test_what_has_not_left_is_sent_again(channel: Channel) -> None:
    """Answers drained into a socket that breaks before it has taken them are kept, in order."""
    join(channel)
    outbox = Outbox(channel)
    outbox.send(an_answer(1))
    outbox.drain()
    outbox.written()
    outbox.send(an_answer(2))
    outbox.drain()
    outbox.send(an_answer(3))
    channel.closed("gone")
    outbox.channel_lost()
    join(channel, 1.0)
    outbox.joined(1.0)
    assert refs(outbox.drain()) == ["ref-2", "ref-3"]


def test_peers_do_not_get_an_answer_with_a_secret(channel: Channel) -> None:
    """They get what is said instead, also for one that was kept before; our own socket gets it."""
    secret = Answer("ref-1", {"secret": "vk_1"}, 0.0, instead={"message": "untold"})
    outbox, diverted = Outbox(channel), list[Answer]()
    outbox.send(secret)
    outbox.divert(diverted.append)
    outbox.send(secret)
    assert diverted == [Answer("ref-1", {"message": "untold"}, 0.0)] * 2
    join(channel)
    outbox.send(secret)
    assert b"vk_1" in outbox.drain()[-1]
