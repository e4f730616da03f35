"""The board's state of one accepted WebSocket, and the effects on it."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import orjson

from devstack.plugboard.board.directory import Service, Token
from devstack.plugboard.board.serializers import Serializer

TOPIC = "service"


@dataclass(frozen=True, slots=True)
class Channel:
    """A joined channel; `join_ref` is the join's own, None without one."""

    join_ref: Any


@dataclass(slots=True, eq=False)
class Socket:
    """An accepted WebSocket; a consumer of its service while it has a channel."""

    service: Service
    token: Token
    actions: str
    """The `actions` parameter as it came."""
    serializer: Serializer
    channel: Channel | None = None
    described: dict[str, Any] = field(init=False)
    """Service and token as they were at connect: a later join still answers with these."""

    def __post_init__(self) -> None:
        self.described = {"service": self.service.public(), "token": self.token.public()}


class Send(NamedTuple):
    """Write this message to this socket."""

    socket: Socket
    data: bytes


class Hangup(NamedTuple):
    """Close this socket with this code."""

    socket: Socket
    code: int


Requester = Callable[[object], None]
"""Gets the answer's payload, or TIMED_OUT, exactly once."""

TIMED_OUT = object()


class Answer(NamedTuple):
    """Pass this payload, or TIMED_OUT, to the requester."""

    requester: Requester
    payload: object


Effect = Send | Hangup | Answer


def push(socket: Socket, event: str, payload: object) -> Send:
    """An event from a joined socket's channel."""
    assert socket.channel is not None, "only a joined socket is pushed to"
    join_ref = socket.channel.join_ref
    data = orjson.dumps(payload)
    return Send(socket, socket.serializer.encode(join_ref, None, TOPIC, event, data))


def finish(socket: Socket, channel: Channel, event: str) -> Send:
    """`phx_close` or `phx_error` for a channel that has ended; its ref is the join_ref."""
    ref = channel.join_ref
    return Send(socket, socket.serializer.encode(ref, ref, TOPIC, event, b"{}"))
