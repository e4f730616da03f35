"""Phoenix's rules for a client's messages.

A socket has at most one channel, on the topic `service`. A message that a joined channel does not
understand crashes it: the client gets `phx_error`, the socket stays open, and the consumer is out
of the rotation until it joins again. A message to a topic without a channel is answered with
`unmatched topic`.
"""

from typing import Any

import orjson

from devstack.plugboard.board.faults import Faults
from devstack.plugboard.board.roster import Roster, canonical_actions, is_object
from devstack.plugboard.board.serializers import Message
from devstack.plugboard.board.sockets import TOPIC, Channel, Effect, Send, Socket, finish, push


class Channels:
    """Joins, leaves and crashes; every method returns the messages to send."""

    def __init__(self, roster: Roster, faults: Faults, *, leaver_sees_count: bool) -> None:
        self._roster = roster
        self._faults = faults
        self._leaver_sees_count = leaver_sees_count

    def receive(self, socket: Socket, message: Message) -> list[Effect]:
        """Apply one message that is not a `response` on a joined channel."""
        if message.topic == "phoenix" and message.event == "heartbeat":
            return self._heartbeat(socket, message)
        if message.topic == TOPIC and message.event == "phx_join":
            return self._join(socket, message)
        if message.topic == TOPIC and socket.channel is not None:
            return self._in_channel(socket, socket.channel, message)
        return [_outside(socket, message)]

    def crash(self, sockets: tuple[Socket, ...], event: str = "phx_error") -> list[Effect]:
        """End these sockets' channels with this event; all end before the first notification."""
        ended = [(socket, socket.channel) for socket in sockets if socket.channel is not None]
        counts = [effect for socket, _ in ended for effect in self.drop(socket)]
        stay = {socket for socket, _ in ended}
        return [
            *(effect for effect in counts if effect.socket not in stay),
            *(finish(socket, channel, event) for socket, channel in ended),
        ]

    def drop(self, socket: Socket) -> list[Send]:
        """Remove a socket from the rotation; notify the others twice, as the real server does."""
        if socket.channel is None:
            return []
        socket.channel = None
        remaining = self._roster.remove(socket)
        return self._count(socket, remaining) * 2

    def _heartbeat(self, socket: Socket, message: Message) -> list[Effect]:
        if self._faults.ignore_heartbeats:
            return []
        return [_reply(socket, message, None, "ok", {})]

    def _join(self, socket: Socket, message: Message) -> list[Effect]:
        if self._faults.ignore_joins:
            return []
        actions = canonical_actions(socket.actions)
        if actions is None or not is_object(actions) or self._faults.crash_joins:
            return [_reply(socket, message, message.join_ref, "error", {"reason": "join crashed"})]
        if socket.channel is not None:
            return self._join_again(socket, socket.channel, message, actions)
        return self._enter(socket, message, actions)

    def _enter(self, socket: Socket, message: Message, actions: str) -> list[Effect]:
        count = self._roster.add(socket, actions)
        socket.channel = Channel(message.join_ref)
        answer = {"num_consumers": count, **socket.described}
        return [
            _reply(socket, message, message.join_ref, "ok", answer),
            *self._count(socket, count),
        ]

    def _join_again(
        self, socket: Socket, old: Channel, message: Message, actions: str
    ) -> list[Effect]:
        """Replace the channel; the client gets the reply to the new join first."""
        socket.channel = None
        without = self._count(socket, self._roster.remove(socket))
        answer, *counts = self._enter(socket, message, actions)
        return [*without, answer, finish(socket, old, "phx_close"), *counts]

    def _in_channel(self, socket: Socket, channel: Channel, message: Message) -> list[Effect]:
        if message.event != "phx_leave":
            return self.crash((socket,))
        if channel.join_ref not in (None, message.join_ref):
            return []
        return self._leave(socket, channel, message)

    def _leave(self, socket: Socket, channel: Channel, message: Message) -> list[Effect]:
        own: list[Send] = []
        if self._leaver_sees_count:
            left = {"num_consumers": len(self._roster.members(socket.service.id)) - 1}
            own = [push(socket, "num_consumers", left)] * 2
        return [
            *self.drop(socket),
            *own,
            _reply(socket, message, channel.join_ref, "ok", {}),
            finish(socket, channel, "phx_close"),
        ]

    def _count(self, but: Socket, count: int) -> list[Send]:
        others = self._roster.members(but.service.id)
        payload = {"num_consumers": count}
        return [push(other, "num_consumers", payload) for other in others if other is not but]


def _outside(socket: Socket, message: Message) -> Send:
    if message.event == "phx_leave":
        return _reply(socket, message, message.join_ref, "ok", {})
    return _reply(socket, message, None, "error", {"reason": "unmatched topic"})


def _reply(
    socket: Socket, message: Message, join_ref: Any, status: str, response: dict[str, Any]
) -> Send:
    payload = orjson.dumps({"response": response, "status": status})
    data = socket.serializer.encode(join_ref, message.ref, message.topic, "phx_reply", payload)
    return Send(socket, data)
