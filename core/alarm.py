"""One call in the future that may be moved at will."""

import asyncio
from collections.abc import Callable


class Alarm:
    """Calls back at a time of the running loop's clock; the latest time set is the one that counts.

    Setting the same time again, as happens after nearly every message, costs a comparison.
    """

    def __init__(self, ring: Callable[[], None]) -> None:
        self._ring = ring
        self._at: float | None = None
        self._handle: asyncio.TimerHandle | None = None

    def set(self, at: float | None) -> None:
        """Ring at that time and no other; never, if None."""
        if at == self._at:
            return
        if self._handle is not None:
            self._handle.cancel()
        self._at = at
        loop = asyncio.get_running_loop()
        self._handle = None if at is None else loop.call_at(at, self._due)

    def _due(self) -> None:
        self._at = self._handle = None
        self._ring()
