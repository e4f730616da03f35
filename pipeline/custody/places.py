"""Places that end without a run: acknowledged, replayed, cancelled, taken out by other programs.

A place has ended when it no longer holds its vCon in Redis. Its rows are released then, and are
taken out of `pc:about` once Postgres has released them. The script that ends it notes them in
`pc:released`, which the outbox of the service writes: so neither a killed process nor Postgres that
is away loses a release. What is answered to a caller is released before the answer as well.
"""

import contextlib
import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import batched

from core.db.custody import Release, key_of
from core.errors import InvalidError, UnavailableError
from pipeline.custody.keeper import Keeper, NoKeeper
from pipeline.custody.rows import is_kept_as
from pipeline.redis_client.client import RedisConnection

log = logging.getLogger(__name__)

AT_ONCE = 100
"""Places of one script call."""


@dataclass(frozen=True, slots=True)
class End:
    """A place of a vCon that has ended, and the rows that were there for it."""

    vcon_uuid: str
    place: str
    refs: str
    outcome: str

    def releases(self) -> list[Release]:
        """What ends in Postgres."""
        return [Release(ref, self.place, self.outcome) for ref in self.refs.split()]


def _as_noted(text: str) -> End | None:
    """What parts/custody.lua has noted; None, with a warning, if it is something else."""
    outcome, refs, vcon_uuid, place = (*text.split("\n", 3), *[""] * 3)[:4]
    try:
        for ref in refs.split():
            key_of(ref)
    except (ValueError, OverflowError) as error:
        _left_out(error)
        return None
    return End(vcon_uuid, place, refs, outcome)


def _left_out(error: Exception) -> None:
    log.warning("release cannot be written", extra={"error": str(error)})


class Places:
    """Releases places that have ended."""

    def __init__(self, connection: RedisConnection, keeper: Keeper | None = None) -> None:
        self._connection = connection
        self._keeper = keeper or NoKeeper()

    async def ended(self, places: Iterable[tuple[str, str]], outcome: str) -> None:
        """Release those of these pairs of vCon and place that have ended."""
        if not self._keeper.is_kept:
            return
        for some in batched(places, AT_ONCE):
            words = [word for place in some for word in place]
            found = await self._connection.script("ended_rows", *words)
            rows = batched(found, 3)
            ends = [End(vcon, place, refs, outcome) for vcon, place, refs in rows]
            with contextlib.suppress(UnavailableError):
                await self._release(ends)

    async def write(self, noted: Sequence[str]) -> None:
        """Release what scripts have noted in `pc:released`. May be repeated.

        What Postgres cannot hold, or another program has put there, is left out with a warning.

        Raises:
            UnavailableError: Postgres or Redis cannot be reached.
        """
        ends = [end for end in map(_as_noted, noted) if end is not None]
        try:
            await self._release(ends)
        except InvalidError:
            for end in ends:
                await self._release_alone(end)

    async def _release_alone(self, end: End) -> None:
        try:
            await self._release([end])
        except InvalidError as error:
            _left_out(error)

    async def _release(self, ends: Sequence[End]) -> None:
        if not ends:
            return
        await self._keeper.release([release for end in ends for release in end.releases()])
        words = [word for end in ends for word in (end.vcon_uuid, end.place, end.refs)]
        await self._connection.script("change_rows", len(ends), *words)

    async def erase(self, vcon_uuid: str) -> None:
        """Release all places of a vCon that is about to be deleted, with its documents.

        Raises:
            UnavailableError: Postgres cannot be reached; nothing may be deleted.
        """
        if is_kept_as(vcon_uuid):
            await self._keeper.erase(vcon_uuid)
