"""How many requests are in work at once; others wait for a place, bounded in number and time."""

import asyncio
from collections import deque
from types import TracebackType
from typing import Self

from core.errors import UnavailableError

WAITING_FOR_EACH = 16
"""Requests that may wait for each that is in work."""
WAIT_SECONDS = 5.0
"""Clients wait ten seconds or more, and a 503 must reach them first."""


class Admission:
    """The places of requests in work, given in the order of arrival."""

    def __init__(self, most: int, wait_seconds: float = WAIT_SECONDS) -> None:
        self._most = most
        self._seconds = wait_seconds
        self._taken = 0
        self._waiting: deque[asyncio.Future[None]] = deque()

    @property
    def taken(self) -> int:
        """Places that are taken."""
        return self._taken

    @property
    def waiting(self) -> int:
        """Requests that wait."""
        return len(self._waiting)

    def place(self) -> "Place":
        """What one request holds, as a context manager; at first it has no place."""
        return Place(self)

    async def enter(self) -> None:
        """Take a place.

        Raises:
            UnavailableError: too many requests wait, or this one has waited too long.
        """
        if self._taken < self._most:
            self._taken += 1
            return
        if len(self._waiting) >= WAITING_FOR_EACH * self._most:
            raise UnavailableError("Too many requests wait; try again later")
        turn = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        try:
            async with asyncio.timeout(self._seconds):
                await turn
        except BaseException as error:
            self._give_up(turn)
            if isinstance(error, TimeoutError):
                msg = "Other requests take too long; try again later"
                raise UnavailableError(msg) from None
            raise

    def _give_up(self, turn: asyncio.Future[None]) -> None:
        if turn in self._waiting:
            self._waiting.remove(turn)
        else:  # its turn had come
            self.leave()

    def leave(self) -> None:
        """Give a place back; the longest waiting request gets it."""
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                return
        self._taken -= 1


class Place:
    """The place of one request, given back at the end of the block."""

    __slots__ = ("_admission", "_is_taken")

    def __init__(self, admission: Admission) -> None:
        self._admission = admission
        self._is_taken = False

    async def take(self) -> None:
        """Wait for a place; the errors are those of `Admission.enter`."""
        if not self._is_taken:
            await self._admission.enter()
            self._is_taken = True

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._is_taken:
            self._is_taken = False
            self._admission.leave()
