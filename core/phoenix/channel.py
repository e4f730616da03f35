"""The client's side of one Phoenix topic on one socket, without the socket.

Texts and clock values go in; effects, texts to send and a deadline come out. Nothing here waits,
reads a clock, logs, or raises because of what the peer did. The lifecycle and its theory are in
`core.phoenix.lifecycle`.
"""

from itertools import count
from typing import Any

from core.backoff import Backoff
from core.errors import PatchcordError
from core.phoenix.events import (
    DropReason,
    Effects,
    EventReceived,
    HeartbeatMissed,
    ReplyReceived,
    dropped,
)
from core.phoenix.frames import SERIALIZERS, Frame, Malformed, decode_any
from core.phoenix.large_frames import SPLITTERS
from core.phoenix.lifecycle import Membership, State

# When the next heartbeat is due, and until when its reply must be here.


class Heartbeat:
    """The pulse of one open socket: at most one heartbeat is unanswered at any time.

    Only a reply counts as a sign of life. Messages that the server pushes of its own accord prove
    nothing about the other direction, so they do not postpone anything.
    """

    def __init__(self, interval: float, timeout: float) -> None:
        self._interval = interval
        self._timeout = timeout
        self._awaited: str | None = None
        self.due: float | None = None
        """When to send the next one or, while one is unanswered, when to give up; None: stopped."""

    @property
    def unanswered(self) -> bool:
        """Whether a heartbeat is waiting for its reply."""
        return self._awaited is not None

    def start(self, now: float) -> None:
        """Begin anew: the next heartbeat is due one interval from now."""
        self._awaited = None
        self.due = now + self._interval

    def stop(self) -> None:
        """The socket is gone: nothing is due, and no reply is awaited."""
        self._awaited = None
        self.due = None

    def sent(self, ref: str, now: float) -> None:
        """A heartbeat went out; its reply must come within the timeout."""
        self._awaited = ref
        self.due = now + self._timeout

    def answered(self, ref: str | None, now: float) -> bool:
        """Take a reply; False if it is not the one awaited."""
        if ref is None or ref != self._awaited:
            return False
        self.start(now)
        return True


PHOENIX = "phoenix"


class ChannelMisuseError(PatchcordError):
    """The channel was asked for something it cannot do; the fault is in this program."""


class Channel:
    """One topic; the caller owns the socket and the clock (seconds from any fixed origin).

    The caller sends what `outgoing` holds after each call, and calls `tick` once `next_deadline`
    has come. After `HeartbeatMissed` it drops the socket.
    """

    def __init__(
        self,
        topic: str,
        *,
        vsn: str = "2.0.0",
        heartbeat_interval: float = 30.0,
        heartbeat_timeout: float = 10.0,
        join_timeout: float = 10.0,
        rejoin: Backoff | None = None,
        healthy_after: float = 2.0,
    ) -> None:
        """All times are seconds; `join_timeout` bounds the leave as well.

        `rejoin` says how long to wait before joining again on the same socket after a join that
        failed. After a crash of a joined channel the next join is sent at once; after further
        crashes, each within `healthy_after` of the last join, it waits up to 5 s.

        Raises:
            ChannelMisuseError: `vsn` is neither "1.0.0" nor "2.0.0", or a time is not positive.
        """
        if vsn not in SERIALIZERS:
            raise ChannelMisuseError(f"no such Phoenix serializer version: {vsn}")
        if min(heartbeat_interval, heartbeat_timeout, join_timeout) <= 0:
            raise ChannelMisuseError("the times of a channel must be positive")
        self.topic = topic
        self.vsn = vsn
        self._decode, self._encode = SERIALIZERS[vsn]
        self._heartbeat = Heartbeat(heartbeat_interval, heartbeat_timeout)
        self._beats = count(1)
        self._out: list[bytes] = []
        self._membership = Membership(
            self._send,
            reply_timeout=join_timeout,
            rejoin=rejoin or Backoff(),
            healthy_after=healthy_after,
        )

    @property
    def state(self) -> State:
        """Where the channel stands; answers can be pushed while it is JOINED."""
        return self._membership.state

    # What the caller tells the channel

    def opened(self, now: float) -> Effects:
        """A new socket is open: join. Whatever an earlier socket left behind is forgotten."""
        self._out = []
        self._heartbeat.start(now)
        self._membership.opened(now)
        return ()

    def received(self, text: str | bytes, now: float) -> Effects:
        """A text message came in; at most one effect, and never an exception."""
        return self.read(self._decode(text), now)

    def read(self, frame: Frame | Malformed, now: float) -> Effects:
        """The same for a message that was decoded already, see `split`."""
        if isinstance(frame, Malformed):
            return dropped(DropReason.MALFORMED, frame.reason)
        topic, event, payload, ref, join_ref = frame
        if topic != self.topic:
            return self._elsewhere(frame, now)
        if not event.startswith("phx_"):
            return self._membership.happened(EventReceived(event, payload, ref), now)
        if event == "phx_reply":
            return self._replied(ref, payload, now)
        # V1 has no place for the join_ref and names it as the ref.
        return self._membership.ended(event, ref if join_ref is None else join_ref, now)

    def split(self, text: bytes) -> Frame | None:
        """A large message, decoded but for its large fields; None: see `read_leniently`."""
        return SPLITTERS[self.vsn](text)

    def tick(self, now: float) -> Effects:
        """Do what is due by now: a heartbeat, a join, or giving up on one of them."""
        due = self._heartbeat.due
        if due is not None and now >= due:
            if self._heartbeat.unanswered:
                return (HeartbeatMissed(), *self.closed("heartbeat missed"))
            self._beat(now)
        deadline = self._membership.deadline
        if deadline is None or now < deadline:
            return ()
        return self._membership.expired(now)

    def push(self, event: str, payload: Any, ref: str | None = None) -> bool:
        """Send an event; False, and nothing is sent, unless the channel is joined.

        Raises:
            ChannelMisuseError: the event is one of Phoenix's own, or the payload is not JSON.
        """
        if self._membership.state is not State.JOINED:
            return False
        if event.startswith("phx_"):
            raise ChannelMisuseError(f"{event} is the channel's own to send")
        try:
            text = self._encode((self.topic, event, payload, ref, self._membership.join_ref))
        except TypeError as error:
            raise ChannelMisuseError(f"the payload of {event} is not JSON: {error}") from error
        self._out.append(text)
        return True

    def translated(self, text: str | bytes) -> str:
        """A message of either version as one of this channel's, to be sent beside its own.

        Raises:
            ValueError: it is no Phoenix message; the server would close the connection.
        """
        frame = decode_any(text)
        if isinstance(frame, Malformed):
            raise ValueError(f"this is no Phoenix message: {frame.reason}")  # noqa: TRY004
        try:
            return self._encode(frame).decode()
        except TypeError:  # a number that no reader at the other end takes
            raise ValueError("this is no Phoenix message: its payload is not JSON") from None

    def leave(self, now: float) -> Effects:
        """Leave the topic for good; `Left` comes at once if there is nothing to leave, or later."""
        return self._membership.leave(now)

    def closed(self, reason: str) -> Effects:
        """The socket is gone, and with it what was not drained; saying so twice does no harm."""
        if self._heartbeat.due is None:
            return ()
        self._heartbeat.stop()
        self._out = []
        return self._membership.disconnected(reason)

    # What the caller asks the channel

    def outgoing(self) -> list[bytes]:
        """The texts to send now, in order: UTF-8, one text message each. Each is given once."""
        texts, self._out = self._out, []
        return texts

    def next_deadline(self) -> float | None:
        """When to call `tick`; None while there is no socket."""
        due, deadline = self._heartbeat.due, self._membership.deadline
        return due if due is None or deadline is None else min(due, deadline)

    # Inside

    def _send(self, event: str, ref: str, join_ref: str | None) -> None:
        self._out.append(self._encode((self.topic, event, {}, ref, join_ref)))

    def _beat(self, now: float) -> None:
        ref = f"heartbeat-{next(self._beats)}"
        self._out.append(self._encode((PHOENIX, "heartbeat", {}, ref, None)))
        self._heartbeat.sent(ref, now)

    def _elsewhere(self, frame: Frame, now: float) -> Effects:
        """Something on another topic: the heartbeat's reply, or nothing of ours."""
        if frame.topic != PHOENIX:
            return dropped(DropReason.OTHER_TOPIC, frame.topic)
        if frame.event != "phx_reply":
            return dropped(DropReason.UNEXPECTED, frame.event)
        if self._heartbeat.answered(frame.ref, now):
            return ()
        return dropped(DropReason.LATE_REPLY, frame.ref or "no ref")

    def _replied(self, ref: str | None, payload: dict[str, Any], now: float) -> Effects:
        status, response = payload.get("status"), payload.get("response")
        if ref is None or not isinstance(status, str):
            return dropped(DropReason.MALFORMED, "a reply without ref or status")
        if ref.startswith(Membership.REFS):
            return self._membership.replied(ref, status, response, now)
        return self._membership.happened(ReplyReceived(ref, status, response), now)
