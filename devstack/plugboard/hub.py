"""Performs the board's effects; the only module with the clock and the open sockets."""

import asyncio
import itertools
from collections import deque
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Protocol

from devstack.plugboard.board.board import Board
from devstack.plugboard.board.faults import Faults
from devstack.plugboard.board.sockets import Answer, Effect, Hangup, Requester, Send, Socket
from devstack.plugboard.settings import PlugboardSettings


class Wire(Protocol):
    """The writing end of a socket."""

    def send(self, data: bytes) -> None:
        """Write a text message."""

    def close(self, code: int) -> None:
        """Send a close frame and disconnect."""


class Caller(Protocol):
    """A connection that is not a WebSocket."""

    def abort(self) -> None:
        """Cut the connection."""

    @property
    def waiting(self) -> bool:
        """Whether a caller waits for an answer on it."""


class Hub:
    """A running board's open connections, its clock and its one timer."""

    def __init__(
        self,
        settings: PlugboardSettings,
        board: Board,
        faults: Faults,
        on_change: Callable[[], None],
    ) -> None:
        self.settings = settings
        self.faults = faults
        self.board = board
        self.numbers = itertools.count(1)
        self.wires: dict[Socket, Wire] = {}
        self.history: deque[Wire] = deque(maxlen=settings.recorded_frames)
        self.callers: set[Caller] = set()
        self.on_change = on_change
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None

    def now(self) -> datetime:
        """The time of day, by which tokens expire."""
        return datetime.now(UTC).replace(microsecond=0)

    def connected(self, socket: Socket, wire: Wire) -> None:
        """Register an accepted socket."""
        self.wires[socket] = wire
        self.history.append(wire)
        self.on_change()

    def disconnected(self, socket: Socket) -> None:
        """Remove a socket and notify the others."""
        if self.wires.pop(socket, None) is not None:
            self.perform(self.board.disconnected(socket))
            self.on_change()

    def received(self, socket: Socket, data: bytes, *, text: bool) -> None:
        """Apply one message of a client."""
        self.perform(self.board.received(socket, data, text=text))

    def request(self, service_id: int, action: bytes, fields: bytes, requester: Requester) -> None:
        """Request a service; raises NoConsumersError, else calls the requester exactly once."""
        now = self._loop.time()
        self.perform(self.board.request(service_id, action, fields, requester, now))
        if self._timer is None:
            self._set_timer()

    def expire(self, now: float) -> None:
        """Answer 408 to requests whose deadline is not after `now` (loop time)."""
        self.perform(self.board.expire(now))
        self.on_change()

    def expire_waiting(self, waited: float) -> None:
        """Answer 408 to requests that have waited for `waited` seconds."""
        self.expire(self._loop.time() + self.settings.answer_timeout - waited)

    def perform(self, effects: Iterable[Effect]) -> None:
        """Perform effects in order."""
        for effect in effects:
            if type(effect) is Send:
                self._send(effect)
            elif type(effect) is Answer:
                effect.requester(effect.payload)
            elif type(effect) is Hangup:
                self._hang_up(effect)

    def shut(self) -> None:
        """Stop the timer; pending requests are not answered."""
        if self._timer is not None:
            self._timer.cancel()

    def _send(self, effect: Send) -> None:
        wire = self.wires.get(effect.socket)
        if wire is None:
            return
        if self.faults.send_delay > 0:
            self._loop.call_later(self.faults.send_delay, wire.send, effect.data)
        else:
            wire.send(effect.data)

    def _hang_up(self, effect: Hangup) -> None:
        wire = self.wires.get(effect.socket)
        if wire is not None:
            wire.close(effect.code)

    def _set_timer(self) -> None:
        deadline = self.board.pending.next_deadline()
        self._timer = None if deadline is None else self._loop.call_at(deadline, self._expire)

    def _expire(self) -> None:
        # A timer may fire up to the clock's resolution early.
        self.expire(self._loop.time() + 0.001)
        self._set_timer()
