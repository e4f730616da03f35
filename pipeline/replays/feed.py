"""The dead letters of one cause, list after list and oldest first, as they are replayed."""

from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, replace

from core.observability.failure_cause import UNKNOWN
from pipeline.admin.causes import CauseIndex
from pipeline.admin.dead_letters import REPLAYED, DeadLetters, Destination, Selection
from schemas.dead_letter import DeadLetter, Uncertain

PAGE = 500
"""uuids that are read from the index at once."""
AWAITED_SECONDS = 3600
"""Seconds for which the ends of a canary's runs are published."""

type Destinations = Callable[[DeadLetter, str], Destination | None]
"""Where a dead letter of a list is queued again."""


@dataclass(frozen=True, slots=True)
class Source:
    """The dead letters of one list with one cause, as counted when the replay began."""

    letters: str
    fingerprint: str
    count: int


@dataclass(frozen=True, slots=True)
class Window:
    """When the dead letters failed, in ms: those that fail again meanwhile are not in it."""

    since: int
    until: int


class Feed:
    """Queues the dead letters of one cause, as many as are asked for."""

    def __init__(
        self,
        letters: DeadLetters,
        destination: Destinations,
        sources: Sequence[Source],
        window: Window,
        attempts_of: Callable[[str], int],
        uncertain: Uncertain | None = None,
    ) -> None:
        """`attempts_of`: the attempts that a chain makes; `uncertain`: see `Selection`."""
        self._uncertain = uncertain
        self.asked = ""
        """By whom the replay is asked for, and why."""
        self.unsure: set[str] = set()
        """vCons that stay because nothing says what is done with a step that may have happened."""
        self._letters = letters
        self._index: CauseIndex = letters.index
        self._destination = destination
        self._window = window
        self._attempts_of = attempts_of
        self._pages = self._all(sources)
        self._page: list[str] = []
        self._source = Source("", "", 0)
        self._near: int | None = None
        self.left = 0
        """Dead letters that could not be queued so far."""

    async def replay(self, most: int, *, canary: bool = False) -> list[str] | None:
        """Queue up to `most` more; the ids of the new runs, perhaps none. None at the end.

        Runs of a canary have one attempt, and their ends are published.
        """
        if not self._page and not await self._turn():
            return None
        some = self._page[: min(most, REPLAYED)]
        del self._page[: len(some)]
        chosen = self._selection(canary=canary)
        runs = await self._queue(some, chosen)
        if len(runs) < len(some):  # some were moved to the place of another in the same script
            runs += await self._queue(some, chosen)
        self.left += len(some) - len(runs)
        return runs

    async def _queue(self, uuids: Sequence[str], chosen: Selection) -> list[str]:
        runs, self._near = await self._letters.replay_some(
            self._source.letters, uuids, chosen, self._near
        )
        return runs

    def _selection(self, *, canary: bool) -> Selection:
        name = self._source.letters

        def destination(letter: DeadLetter) -> Destination | None:
            found = self._destination(letter, name)
            if found is None or not canary:
                return found
            return replace(found, used=self._attempts_of(found.chain) - 1)

        return Selection(
            destination,
            limit=REPLAYED,
            fingerprint=self._source.fingerprint,
            awaited=AWAITED_SECONDS if canary else 0,
            uncertain=self._uncertain,
            asked=self.asked,
            unsure=self.unsure,
        )

    async def _turn(self) -> bool:
        async for source, page in self._pages:
            if source.letters != self._source.letters:
                self._near = None
            self._source, self._page = source, page
            if page:
                return True
        return False

    async def _all(self, sources: Sequence[Source]) -> AsyncIterator[tuple[Source, list[str]]]:
        for source in sources:
            if source.fingerprint == UNKNOWN:
                async for page in self._letters.unexplained(source.letters):
                    yield source, page
            else:
                async for page in self._filed(source):
                    yield source, page

    async def _filed(self, source: Source) -> AsyncIterator[list[str]]:
        about, window = (source.letters, source.fingerprint), self._window
        stayed = 0
        while page := await self._index.pick(
            *about, window.since, window.until, skip=stayed, limit=PAGE
        ):
            yield list(page)
            stayed += await self._index.still(*about, page, window.until)
