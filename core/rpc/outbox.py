"""Answers on their way to the Plugboard: batching, back pressure, keeping over a reconnect."""

# Theory
# ------
# The Plugboard finds the caller by the ref of the answer, not by the socket. So an answer may be
# sent over any later connection, or by a peer, as long as the caller waits (`PLUGBOARD_MEMORY`).
# Sending it twice does no harm, because the first one ends the request there. Hence the rule: an
# answer is kept until it certainly has left this process, and is sent again in case of doubt.
#
# An answer is in one of three places:
#
#   pushed    encoded by the channel, waiting for the session's next write. Batching: answers that
#             are ready in the same turn of the event loop share one write to the socket.
#   in doubt  written to the transport, whose buffer may still hold them. `written` clears these
#             when the buffer is empty. If the socket is lost before, it is not known which of them
#             have left, and all of them are kept.
#   unsent    kept while the channel is not joined, in order; `joined` pushes them.
#
# Back pressure: while the transport is paused the session does not drain, so pushed answers
# accumulate. Above `Limits.unread_bytes` the session drops the connection, and they become unsent.
# Unsent answers are bounded by `max_bytes`; the oldest are dropped, but the last one is kept
# at any size.
#
# On a handover `divert` redirects what cannot be pushed to the peers.

from collections import deque
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import orjson

from core.observability import metrics
from core.phoenix.channel import Channel

MAX_BYTES = 64 * 1024 * 1024
PLUGBOARD_MEMORY = 30.0
"""Seconds after which the Plugboard has answered the caller 408 and forgotten the ref."""


class Answer(NamedTuple):
    """An answer and the time of its request, in event-loop seconds.

    `payload` is JSON or an `orjson.Fragment`. `instead` replaces it on a handover if it has a
    secret, which must not be written to Redis. A tuple, because each request creates one.
    """

    ref: str
    payload: Any
    received_at: float
    instead: Any = None
    size: int = 0
    """Bytes of the payload that count against the limits."""

    def for_peers(self) -> "Answer":
        """The answer without a secret, for another process."""
        return self if self.instead is None else self._replace(payload=self.instead, instead=None)

    def worth_sending(self, now: float) -> bool:
        """True while the caller waits at the Plugboard."""
        return now - self.received_at < PLUGBOARD_MEMORY

    def to_text(self, now: float) -> bytes:
        """Two lines of JSON for another process: `[ref, age in seconds]` and the payload."""
        head = orjson.dumps([self.ref, now - self.received_at])
        return b"%b\n%b" % (head, orjson.dumps(self.payload))

    @classmethod
    def from_text(cls, text: str, now: float) -> "Answer | None":
        """Parse the text of another process; None if it is malformed."""
        head, _, payload = text.partition("\n")
        try:
            ref, age = orjson.loads(head)
            if isinstance(orjson.loads(payload), dict) and isinstance(ref, str):
                return cls(ref, orjson.Fragment(payload), now - float(age), size=len(payload))
        except (ValueError, TypeError):
            pass
        return None


class UnsentAnswers:
    """Answers that wait for the next join, in order."""

    def __init__(self, max_bytes: int = MAX_BYTES) -> None:
        """`dropped` counts the answers past their deadline or beyond `max_bytes`."""
        self._answers: deque[Answer] = deque()
        self._max_bytes = max_bytes
        self._bytes = 0
        self.dropped = 0

    def keep(self, *answers: Answer) -> None:
        """Append answers; the oldest are dropped while the sum exceeds `max_bytes`."""
        self._answers.extend(answers)
        self._bytes += sum(answer.size for answer in answers)
        while self._bytes > self._max_bytes and len(self._answers) > 1:
            self._drop(self._answers.popleft())

    def _drop(self, answer: Answer) -> None:
        self._bytes -= answer.size
        self.dropped += 1
        metrics.LATE_ANSWERS.inc()

    def take(self) -> list[Answer]:
        """Remove and return all answers."""
        answers = list(self._answers)
        self._answers.clear()
        self._bytes = 0
        return answers

    def worth_sending(self, now: float) -> Iterator[Answer]:
        """Remove all answers, and yield those whose callers still wait."""
        while self._answers:
            answer = self._answers.popleft()
            if answer.worth_sending(now):
                self._bytes -= answer.size
                yield answer
            else:
                self._drop(answer)


class Outbox:
    """Sends answers over the channel, and keeps those that may not have left this process."""

    def __init__(self, channel: Channel, max_bytes: int = MAX_BYTES) -> None:
        """`unsent` keeps at most `max_bytes` of answers until the next join."""
        self.unsent = UnsentAnswers(max_bytes)
        self.pushed_bytes = 0
        self._channel = channel
        self._pushed: list[Answer] = []
        self._in_doubt: list[Answer] = []
        self._divert: Callable[[Answer], None] | None = None

    def send(self, answer: Answer) -> None:
        """Push the answer, or keep it while the channel is not joined."""
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
        """Give all unsent answers, and all that cannot be pushed later, to this function."""
        self._divert = to
        self._keep(*self.unsent.take())

    def joined(self, now: float) -> None:
        """The channel is joined: push the unsent answers whose callers still wait."""
        for answer in list(self.unsent.worth_sending(now)):
            self.send(answer)

    def drain(self) -> list[bytes]:
        """Take the texts to write; their answers are in doubt until `written`."""
        self._in_doubt += self._pushed
        self._pushed, self.pushed_bytes = [], 0
        return self._channel.outgoing()

    def written(self) -> None:
        """All drained texts have left this process."""
        self._in_doubt = []

    def channel_lost(self) -> None:
        """The channel or its socket is gone: keep the answers that may not have left."""
        answers = self._in_doubt + self._pushed
        self._in_doubt, self._pushed, self.pushed_bytes = [], [], 0
        self._keep(*answers)
