"""Answers on their way out.

The Plugboard finds a request by its ref and not by the socket, so an answer that could not be sent
is still worth sending after the next join. Sending one twice does no harm: the first one counts.
"""

from collections import deque
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import orjson

from core.observability import metrics
from core.phoenix.channel import Channel

MOST_BYTES = 64 * 1024 * 1024
"""Of answers that wait to be sent."""
WORTH_SENDING = 30.0
"""Seconds after which the Plugboard has forgotten a request."""


class Answer(NamedTuple):
    """One answer, a JSON object or a fragment of it, and when its request came in.

    The time is in seconds of a monotonic clock. `instead` is what peers may send, for an answer
    with a secret, which must not reach them over Redis. A tuple because every request makes one.
    """

    ref: str
    payload: Any
    received_at: float
    instead: Any = None
    size: int = 0
    """Bytes of its payload, as far as they count."""

    def for_peers(self) -> "Answer":
        """The answer as it may go to another process."""
        return self if self.instead is None else self._replace(payload=self.instead, instead=None)

    def worth_sending(self, now: float) -> bool:
        """Whether the request is still waited for."""
        return now - self.received_at < WORTH_SENDING

    def to_text(self, now: float) -> bytes:
        """The answer for another process, whose clock is another: two lines of JSON."""
        head = orjson.dumps([self.ref, now - self.received_at])
        return b"%b\n%b" % (head, orjson.dumps(self.payload))

    @classmethod
    def from_text(cls, text: str, now: float) -> "Answer | None":
        """The answer of another process; None for what is none. Its payload is sent as it came."""
        head, _, payload = text.partition("\n")
        try:
            ref, age = orjson.loads(head)
            if isinstance(orjson.loads(payload), dict) and isinstance(ref, str):
                return cls(ref, orjson.Fragment(payload), now - float(age), size=len(payload))
        except (ValueError, TypeError):
            pass
        return None


class UnsentAnswers:
    """Keeps answers that were finished while there was no channel to send them on."""

    def __init__(self, most_bytes: int = MOST_BYTES) -> None:
        """Empty; `dropped` counts the answers that came too late, or were too many to keep."""
        self._answers: deque[Answer] = deque()
        self._most_bytes = most_bytes
        self._bytes = 0
        self.dropped = 0

    def keep(self, *answers: Answer) -> None:
        """Send them after the next join; of more than `most_bytes` the oldest are dropped."""
        self._answers.extend(answers)
        self._bytes += sum(answer.size for answer in answers)
        while self._bytes > self._most_bytes and len(self._answers) > 1:
            self._drop(self._answers.popleft())

    def _drop(self, answer: Answer) -> None:
        self._bytes -= answer.size
        self.dropped += 1
        metrics.LATE_ANSWERS.inc()

    def take(self) -> list[Answer]:
        """All of them, to be kept elsewhere."""
        answers = list(self._answers)
        self._answers.clear()
        self._bytes = 0
        return answers

    def worth_sending(self, now: float) -> Iterator[Answer]:
        """Every kept answer whose request is still waited for, each once."""
        while self._answers:
            answer = self._answers.popleft()
            if answer.worth_sending(now):
                self._bytes -= answer.size
                yield answer
            else:
                self._drop(answer)


class Outbox:
    """Pushes answers into the channel, and keeps those that did not get through it."""

    def __init__(self, channel: Channel, most_bytes: int = MOST_BYTES) -> None:
        """`unsent` holds what waits for the next join, up to `most_bytes`."""
        self.unsent = UnsentAnswers(most_bytes)
        self.pushed_bytes = 0
        self._channel = channel
        self._pushed: list[Answer] = []
        self._in_doubt: list[Answer] = []
        self._divert: Callable[[Answer], None] | None = None

    def send(self, answer: Answer) -> None:
        """Push it, or keep it until the channel is joined again."""
        if self._channel.push("response", answer.payload, answer.ref):
            self._pushed.append(answer)
            self.pushed_bytes += answer.size
        else:
            self._keep(answer)

    def _keep(self, *answers: Answer) -> None:
        if self._divert is None:
            self.unsent.keep(*answers)
            return
        for answer in answers:
            self._divert(answer.for_peers())

    def divert(self, to: Callable[[Answer], None]) -> None:
        """From now on `to` gets what cannot be pushed, and what was kept so far."""
        self._divert = to
        self._keep(*self.unsent.take())

    def joined(self, now: float) -> None:
        """The channel takes answers again: push those that are still worth it."""
        for answer in list(self.unsent.worth_sending(now)):
            self.send(answer)

    def drain(self) -> list[bytes]:
        """The texts to write now. The answers among them are in doubt until `written` is called."""
        self._in_doubt += self._pushed
        self._pushed, self.pushed_bytes = [], 0
        return self._channel.outgoing()

    def written(self) -> None:
        """What was drained has left this process."""
        self._in_doubt = []

    def channel_lost(self) -> None:
        """The channel or its socket is gone, and with it what was pushed and has not left."""
        answers = self._in_doubt + self._pushed
        self._in_doubt, self._pushed, self.pushed_bytes = [], [], 0
        self._keep(*answers)
