"""The client's side of one Phoenix topic on one socket, without I/O.

Input: texts and clock values. Output: effects, texts to send and a deadline. Nothing here awaits,
reads a clock or logs, and no message of the peer raises. `core.phoenix.lifecycle` explains the
states; this file adds the wire format and the heartbeat.
"""

from itertools import count
from typing import Any

from core.concurrency.backoff import Backoff
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

PHOENIX = "phoenix"
"""The topic of heartbeats."""


class ChannelMisuseError(PatchcordError):
    """The caller used the channel wrongly; a bug of this program, never the peer's fault."""


class Heartbeat:
    """When the next heartbeat of a socket is due; at most one is unanswered at any time.

    Only the reply to a heartbeat restarts the interval. Other messages of the server do not,
    because they do not show that the server still reads from the socket.
    """

    def __init__(self, interval: float, timeout: float) -> None:
        self._interval = interval
        self._timeout = timeout
        self._awaited: str | None = None
        self.due: float | None = None
        """When to send the next one, or when to give up the unanswered one; None: stopped."""

    @property
    def unanswered(self) -> bool:
        """True while a heartbeat has no reply yet."""
        return self._awaited is not None

    def start(self, now: float) -> None:
        """The next heartbeat is due one interval from now."""
        self._awaited = None
        self.due = now + self._interval

    def stop(self) -> None:
        """No heartbeat is due and no reply is awaited."""
        self._awaited = None
        self.due = None

    def sent(self, ref: str, now: float) -> None:
        """Expect the reply to this ref within the timeout."""
        self._awaited = ref
        self.due = now + self._timeout

    def answered(self, ref: str | None, now: float) -> bool:
        """Restart the interval if this is the awaited reply; else return False."""
        if ref is None or ref != self._awaited:
            return False
        self.start(now)
        return True


class Channel:
    """One topic; the caller owns the socket and the clock (seconds from any fixed origin).

    After each call the caller sends the texts of `outgoing` and plans a `tick` for `next_deadline`.
    After `HeartbeatMissed` it drops the socket.
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

        `rejoin` gives the wait after a failed join on the same socket. After a crash of a joined
        channel the next join is sent at once; after further crashes, each within `healthy_after` of
        the last join, it waits up to 5 s.

        Raises:
            ChannelMisuseError: `vsn` is neither "1.0.0" nor "2.0.0", or a time is not positive.
        """
        if vsn not in SERIALIZERS:
            raise ChannelMisuseError(f"unknown Phoenix serializer version: {vsn}")
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
        """The present state; `push` works in JOINED only."""
        return self._membership.state

    # Input

    def opened(self, now: float) -> Effects:
        """A new socket is open: join. Texts and state of an earlier socket are discarded."""
        self._out = []
        self._heartbeat.start(now)
        self._membership.opened(now)
        return ()

    def received(self, text: str | bytes, now: float) -> Effects:
        """Take a text message; returns at most one effect."""
        return self.received_frame(self._decode(text), now)

    def received_frame(self, frame: Frame | Malformed, now: float) -> Effects:
        """Take a message that is decoded already, see `split`."""
        if isinstance(frame, Malformed):
            return dropped(DropReason.MALFORMED, frame.reason)
        topic, event, payload, ref, join_ref = frame
        if topic != self.topic:
            return self._on_other_topic(frame, now)
        if not event.startswith("phx_"):
            return self._membership.apply(EventReceived(event, payload, ref), now)
        if event == "phx_reply":
            return self._replied(ref, payload, now)
        # V1 has no member for the join_ref; the server sends it as the ref.
        return self._membership.ended(event, ref if join_ref is None else join_ref, now)

    def split(self, text: bytes) -> Frame | None:
        """Decode a large message except its large fields; None: use `read_leniently`."""
        return SPLITTERS[self.vsn](text)

    def tick(self, now: float) -> Effects:
        """Send the heartbeat or join that is due by now, or time out the unanswered one."""
        due = self._heartbeat.due
        if due is not None and now >= due:
            if self._heartbeat.unanswered:
                return (HeartbeatMissed(), *self.closed("heartbeat missed"))
            self._send_heartbeat(now)
        deadline = self._membership.deadline
        if deadline is None or now < deadline:
            return ()
        return self._membership.expired(now)

    def push(self, event: str, payload: Any, ref: str | None = None) -> bool:
        """Queue an event for `outgoing`; returns False, and queues nothing, unless JOINED.

        Raises:
            ChannelMisuseError: the event is one of Phoenix's own, or the payload is not JSON.
        """
        if self._membership.state is not State.JOINED:
            return False
        if event.startswith("phx_"):
            raise ChannelMisuseError(f"{event} can only be sent by the channel itself")
        try:
            text = self._encode((self.topic, event, payload, ref, self._membership.join_ref))
        except TypeError as error:
            raise ChannelMisuseError(f"the payload of {event} is not JSON: {error}") from error
        self._out.append(text)
        return True

    def transcode(self, text: str | bytes) -> str:
        """Convert a message of either serializer version to this channel's version.

        Raises:
            ValueError: not a Phoenix message; the server would close the connection.
        """
        frame = decode_any(text)
        if isinstance(frame, Malformed):
            raise ValueError(f"not a Phoenix message: {frame.reason}")  # noqa: TRY004
        try:
            return self._encode(frame).decode()
        except TypeError:  # a number that JSON does not have
            raise ValueError("not a Phoenix message: its payload is not JSON") from None

    def leave(self, now: float) -> Effects:
        """Leave the topic; `Left` is returned here if no join is open, else by a later call."""
        return self._membership.leave(now)

    def closed(self, reason: str) -> Effects:
        """The socket is gone: texts not yet taken are discarded. Calling it again has no effect."""
        if self._heartbeat.due is None:
            return ()
        self._heartbeat.stop()
        self._out = []
        return self._membership.disconnected(reason)

    # Output

    def outgoing(self) -> list[bytes]:
        """Take the texts to send, in order: UTF-8, one text message each."""
        texts, self._out = self._out, []
        return texts

    def next_deadline(self) -> float | None:
        """When to call `tick`; None without a socket."""
        due, deadline = self._heartbeat.due, self._membership.deadline
        return due if due is None or deadline is None else min(due, deadline)

    # Internals

    def _send(self, event: str, ref: str, join_ref: str | None) -> None:
        self._out.append(self._encode((self.topic, event, {}, ref, join_ref)))

    def _send_heartbeat(self, now: float) -> None:
        ref = f"heartbeat-{next(self._beats)}"
        self._out.append(self._encode((PHOENIX, "heartbeat", {}, ref, None)))
        self._heartbeat.sent(ref, now)

    def _on_other_topic(self, frame: Frame, now: float) -> Effects:
        """A message on another topic: the reply to a heartbeat, or a drop."""
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
        return self._membership.apply(ReplyReceived(ref, status, response), now)
