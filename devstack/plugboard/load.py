"""Closed-loop load from inside the board, without the cost of HTTP callers."""

import asyncio
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

import orjson

from devstack.plugboard.board.directory import Service
from devstack.plugboard.board.sockets import TIMED_OUT
from devstack.plugboard.operations import Operations


@dataclass(slots=True)
class Load:
    """The result: latencies in seconds, from push to answer, in order of completion."""

    seconds: float = 0.0
    timed_out: int = 0
    latencies: list[float] = field(default_factory=list)

    @property
    def answers_per_second(self) -> float:
        """Answers per second."""
        return len(self.latencies) / self.seconds


async def drive(
    operations: Operations,
    service: Service,
    *,
    action: object,
    fields: Iterator[object],
    requests: int,
    in_flight: int,
) -> Load:
    """Make `count` requests with a fixed concurrency; raises NoConsumersError.

    `fields` returns each request's fields; an `orjson.Fragment` is written unchanged.
    """
    loop = _ClosedLoop(operations, service, orjson.dumps(action), fields, requests)
    started = time.perf_counter()
    for _ in range(min(in_flight, requests)):
        loop.ask()
    await loop.finished
    loop.load.seconds = time.perf_counter() - started
    return loop.load


class _ClosedLoop:
    def __init__(
        self,
        operations: Operations,
        service: Service,
        action: bytes,
        fields: Iterator[object],
        requests: int,
    ) -> None:
        self.load = Load()
        self.finished: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._operations = operations
        self._request = (service, action)
        self._fields = fields
        self._unasked = self._unanswered = requests

    def ask(self) -> None:
        """Make one request, and the next one when it is answered."""
        self._unasked -= 1
        fields = orjson.dumps(next(self._fields))
        started = time.perf_counter()

        def settled(payload: object) -> None:
            if payload is TIMED_OUT:
                self.load.timed_out += 1
            else:
                self.load.latencies.append(time.perf_counter() - started)
            self._go_on()

        self._operations.ask(*self._request, fields, settled)

    def _go_on(self) -> None:
        self._unanswered -= 1
        if self._unanswered == 0:
            self.finished.set_result(None)
        elif self._unasked > 0:
            self.ask()
