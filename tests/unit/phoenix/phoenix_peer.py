"""The other end of a channel: says and hears what a Phoenix server would, without a socket."""

import json
from typing import Any

from core.concurrency.backoff import Backoff
from core.phoenix.channel import Channel
from core.phoenix.events import Effects
from core.phoenix.frames import Frame
from core.phoenix.lifecycle import State

TIMES = {
    "heartbeat_interval": 30.0,
    "heartbeat_timeout": 10.0,
    "join_timeout": 10.0,
    "rejoin": Backoff(1.0, 30.0),
    "healthy_after": 2.0,
}


class Peer:
    """A server and a clock around one channel."""

    def __init__(self, vsn: str = "2.0.0", **times: Any) -> None:
        self.vsn = vsn
        self.now = 1000.0
        self.channel = Channel("service", vsn=vsn, **{**TIMES, **times})

    def heard(self) -> list[Frame]:
        """What the channel has sent since the last time, in either version."""
        return [self._read(json.loads(text)) for text in self.channel.outgoing()]

    def _read(self, message: Any) -> Frame:
        if self.vsn == "1.0.0":
            return Frame(**message)
        join_ref, ref, topic, event, payload = message
        return Frame(topic, event, payload, ref, join_ref)

    def says(
        self,
        event: str,
        payload: Any,
        ref: str | None = None,
        join_ref: str | None = None,
        topic: str = "service",
    ) -> Effects:
        """Send a message in the channel's version; V1 leaves the join_ref out."""
        if self.vsn == "1.0.0":
            text = json.dumps({"event": event, "payload": payload, "ref": ref, "topic": topic})
        else:
            text = json.dumps([join_ref, ref, topic, event, payload])
        return self.channel.received(text, self.now)

    def replies(
        self, ref: str | None, response: Any = None, status: str = "ok", topic: str = "service"
    ) -> Effects:
        """Reply to the message with this ref."""
        payload = {"response": response or {}, "status": status}
        return self.says("phx_reply", payload, ref, None, topic)

    def ends(self, event: str, join_ref: str | None) -> Effects:
        """End the channel of that join as a real server does: V1 names the join as the ref."""
        return self.says(event, {}, join_ref, join_ref)

    def waits(self, seconds: float) -> Effects:
        """Let time pass without a word, then tick."""
        self.now += seconds
        return self.channel.tick(self.now)

    def waits_until_due(self) -> Effects:
        """Let exactly as much time pass as the channel asked for, then tick."""
        deadline = self.channel.next_deadline()
        assert deadline is not None
        return self.waits(deadline - self.now)

    def opens(self) -> Frame:
        """Open a socket; the join that the channel sends at once."""
        self.channel.opened(self.now)
        (join,) = self.heard()
        return join

    def joins(self) -> Frame:
        """Open a socket and accept the join; the join."""
        join = self.opens()
        self.replies(join.ref)
        return join

    def goes(self, state: State) -> None:
        """Take a new channel to a state; what it sent on the way is forgotten."""
        if state is not State.OFFLINE:
            join = self.opens()
        if state is State.JOINED:
            self.replies(join.ref)
        if state is State.BACKING_OFF:
            self.replies(join.ref, {}, "error")
        if state in (State.LEAVING, State.CLOSED):
            self.channel.leave(self.now)
        if state is State.CLOSED:
            self.replies("leave-2")
        self.channel.outgoing()
        assert self.channel.state is state
