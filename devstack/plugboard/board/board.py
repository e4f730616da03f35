"""The state of a board, without sockets and without a clock.

Every method returns the effects that its caller must perform, in order. Services and tokens outlive
a restart of the board; sockets, rotation and waiting requests do not.
"""

import os
from dataclasses import dataclass
from datetime import datetime

from devstack.plugboard.board.bursts import Bursts
from devstack.plugboard.board.channels import Channels
from devstack.plugboard.board.directory import Directory, Service, Token
from devstack.plugboard.board.faults import Faults
from devstack.plugboard.board.pending import Pending
from devstack.plugboard.board.roster import Roster
from devstack.plugboard.board.serializers import MalformedError
from devstack.plugboard.board.sockets import (
    TIMED_OUT,
    TOPIC,
    Answer,
    Effect,
    Hangup,
    Requester,
    Send,
    Socket,
    push,
)
from devstack.plugboard.settings import PlugboardSettings


class NoConsumersError(LookupError):
    """No consumer is joined to the requested service."""


@dataclass(slots=True)
class Counters:
    """The outcomes of requests since the start."""

    pushed: int = 0
    answered: int = 0
    timed_out: int = 0
    lost: int = 0
    """Accepted and, by a fault, never pushed."""
    unmatched: int = 0
    """Responses to no waiting request: too late, repeated, or another service's."""


class Board:
    """Sockets, rotation and pending requests of a running board; the directory outlives it."""

    def __init__(self, settings: PlugboardSettings, directory: Directory, faults: Faults) -> None:
        self.directory = directory
        self.roster = Roster(faults)
        self._bursts = Bursts()
        self.pending = Pending(settings.answer_timeout)
        self.counters = Counters()
        self._faults = faults
        self._channels = Channels(self.roster, faults, leaver_sees_count=settings.leaver_sees_count)

    def received(self, socket: Socket, data: bytes, *, text: bool) -> list[Effect]:
        """Apply one WebSocket message."""
        try:
            message = socket.serializer.decode(data, text=text)
        except MalformedError:
            return [Hangup(socket, _code_for(data, text=text))]
        if message.event == "response" and message.topic == TOPIC and socket.channel is not None:
            return self._answered(socket.service.id, message.ref, message.payload)
        return self._channels.receive(socket, message)

    def disconnected(self, socket: Socket) -> list[Send]:
        """Remove a closed socket; idempotent."""
        return self._channels.drop(socket)

    def request(
        self, service_id: int, action: bytes, fields: bytes, requester: Requester, now: float
    ) -> list[Effect]:
        """Push a request to the next consumer; action and fields are serialised JSON.

        Raises:
            NoConsumersError: if no consumer is joined.
        """
        if self.roster.is_empty(service_id):
            raise NoConsumersError(service_id)
        ref = _new_ref()
        self.pending.add(ref, service_id, requester, now)
        socket = None if self._is_lost(service_id, now) else self.roster.next(service_id)
        if socket is None:
            self.counters.lost += 1
            return []
        self.counters.pushed += 1
        return [_request(socket, action, fields, ref)]

    def expire(self, now: float) -> list[Answer]:
        """Answer 408 to requests past their deadline."""
        late = self.pending.expire(now)
        self.counters.timed_out += len(late)
        return [Answer(requester, TIMED_OUT) for requester in late]

    def crash(self, socket: Socket) -> list[Effect]:
        """Crash a socket's channel, if it has one."""
        return self._channels.crash((socket,))

    def close(self, socket: Socket) -> list[Effect]:
        """Close a socket's channel from the server's side, if it has one."""
        return self._channels.crash((socket,), "phx_close")

    def service_created(self, service: Service) -> list[Effect]:
        """Creating a child service crashes the channels of its parent's consumers."""
        if service.parent is None:
            return []
        return self._channels.crash(self.roster.members(service.parent.id))

    def service_renamed(self, service: Service) -> list[Send]:
        """Notify the service's and its parent's consumers, with the service's object."""
        return self._announce_upwards(service, "service_updated")

    def delete_service(self, service: Service, now: datetime) -> list[Send]:
        """Delete a service and its descendants; each consumer gets its own service's object."""
        below = list(self.directory.descendants(service))
        news = [
            told
            for other in below
            for told in self._announce(other, "service_deleted", {"service": other.public()})
        ]
        for other in (service, *below):
            self.directory.delete_service(other, now)
        return [*self._announce_upwards(service, "service_deleted"), *news]

    def token_created(self, token: Token) -> list[Send]:
        """Send the secret to all consumers of the service, whichever token they use."""
        payload = {"token": {**token.public(), "value": token.value}}
        return self._announce(token.service, "token_created", payload)

    def token_deleted(self, token: Token) -> list[Send]:
        """Notify all consumers of the service; they stay connected."""
        return self._announce(token.service, "token_deleted", {"token": token.public()})

    def _answered(self, service_id: int, ref: object, payload: object) -> list[Effect]:
        if self._faults.ignore_responses:
            return []
        requester = self.pending.take(ref, service_id)
        if requester is None:
            self.counters.unmatched += 1
            return []
        self.counters.answered += 1
        return [Answer(requester, payload)]

    def _is_lost(self, service_id: int, now: float) -> bool:
        """Whether the request is lost before the rotation, as on the real Plugboard."""
        if self._faults.lose_requests > 0:
            self._faults.lose_requests -= 1
            return True
        return self._faults.losses and self._bursts.overwrites(service_id, now)

    def _announce_upwards(self, service: Service, event: str) -> list[Send]:
        payload = {"service": service.public()}
        told = self._announce(service, event, payload)
        if service.parent is not None:
            told += self._announce(service.parent, event, payload)
        return told

    def _announce(self, service: Service, event: str, payload: object) -> list[Send]:
        return [push(socket, event, payload) for socket in self.roster.members(service.id)]


def _request(socket: Socket, action: bytes, fields: bytes, ref: str) -> Send:
    assert socket.channel is not None
    payload = b'{"action":%b,"fields":%b,"response_ref":"%b"}' % (action, fields, ref.encode())
    join_ref = socket.channel.join_ref
    return Send(socket, socket.serializer.encode(join_ref, None, TOPIC, "request", payload))


def _new_ref() -> str:
    """A random UUID4, at half the cost of `uuid.uuid4`; one per request."""
    digits = os.urandom(16).hex()
    return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-a{digits[17:20]}-{digits[20:]}"


def _code_for(data: bytes, *, text: bool) -> int:
    """1007 for text that is not UTF-8, else 1011: the real handler crashed on it."""
    try:
        data.decode()
    except UnicodeDecodeError:
        return 1007 if text else 1011
    return 1011
