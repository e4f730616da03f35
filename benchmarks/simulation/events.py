"""Discrete events: a clock, servers with a queue, and processes that use them.

A process is a generator. Each value that it yields is called with a function that resumes the
process, and calls that when the process goes on: at once, after a time, or when a server is free.
"""

import heapq
from collections import deque
from collections.abc import Callable, Generator
from itertools import count

type Resume = Callable[[], None]
type Step = Callable[[Resume], None]
type Process = Generator[Step]


class Clock:
    """Simulated time in seconds; events at the same time happen in the order of their creation."""

    def __init__(self) -> None:
        self.now = 0.0
        self._due: list[tuple[float, int, Resume]] = []
        self._numbers = count()

    def after(self, seconds: float, then: Resume) -> None:
        """Call a function later."""
        heapq.heappush(self._due, (self.now + seconds, next(self._numbers), then))

    def wait(self, seconds: float) -> Step:
        """Let the process that yields this wait."""
        return lambda resume: self.after(seconds, resume)

    def run(self, until: float = float("inf")) -> None:
        """Let everything happen that is due until then."""
        while self._due and self._due[0][0] <= until:
            self.now, _, then = heapq.heappop(self._due)
            then()


def start(process: Process) -> None:
    """Begin a process now."""

    def resume() -> None:
        step = next(process, None)
        if step is not None:
            step(resume)

    resume()


class Server:
    """So many places, each of which one process can hold; others wait, the first come first."""

    def __init__(self, clock: Clock, places: int = 1) -> None:
        """`places`: processes that hold one at the same time."""
        self._clock = clock
        self._waiting: deque[Resume] = deque()
        self.places = self.free = places
        self._held_since, self._held = 0.0, 0.0

    def take(self) -> Step:
        """Wait for a place; `give` must follow."""
        return self._take

    def _take(self, resume: Resume) -> None:
        if self.free:
            self._count()
            self.free -= 1
            resume()
        else:
            self._waiting.append(resume)

    def give(self) -> None:
        """Give the place to the process that has waited longest, if there is one."""
        if self._waiting:
            self._waiting.popleft()()
        else:
            self._count()
            self.free += 1

    def use(self, seconds: float) -> Process:
        """Hold a place for so long."""
        yield self._take
        yield self._clock.wait(seconds)
        self.give()

    @property
    def waiting(self) -> int:
        """Processes that wait for a place."""
        return len(self._waiting)

    def _count(self) -> None:
        now = self._clock.now
        self._held += (self.places - self.free) * (now - self._held_since)
        self._held_since = now

    @property
    def utilisation(self) -> float:
        """The mean share of places that was held until now, 0 to 1."""
        self._count()
        return self._held / (self.places * self._clock.now) if self._clock.now else 0.0
