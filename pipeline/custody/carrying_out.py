"""Carrying a row of custody out in Redis, on the server and under the generation it is for.

Recovery approves a server of Redis and raises the generation. A row that was committed before may
be void by then, or queued by recovery, so the scripts refuse it and a new row is committed. Rows
that Redis has no use for in the end are deleted.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from core.errors import FullError, GoneError, UnavailableError, UnusableKeyError
from pipeline.custody.keeper import SECONDS, Keeper
from pipeline.redis_client.client import CommandRefused, RedisConnection

LOOK_SECONDS = 0.05
"""Seconds between two tries while Redis is not approved, or under another generation."""
_UNAPPROVED, _GENERATION, _STALE = ["unapproved"], ["generation"], ["stale"]
_REFUSED = (FullError, GoneError, UnusableKeyError, CommandRefused)
"""Errors after which Redis surely has carried nothing out."""

type Row = tuple[str, str]
"""The uuid of a vCon and the ref of its row; "" for none."""


class CarryingOut:
    """Calls scripts with rows that they accept."""

    def __init__(self, connection: RedisConnection, keeper: Keeper) -> None:
        self._connection = connection
        self._keeper = keeper

    async def __call__(
        self,
        accept: Callable[[], Awaitable[Sequence[Row]]],
        script: Callable[[Sequence[str]], Awaitable[Any]],
        is_used: Callable[[Any], bool],
    ) -> Any:
        """The script's reply. `accept` commits rows, `script` carries them out.

        `is_used(reply)`: whether Redis surely has a use for each row.

        Raises:
            UnavailableError: Postgres or Redis is away, or Redis is not approved in time, or not
                under the generation that Postgres has.
            Exception: what `script` raises.
        """
        loop = asyncio.get_running_loop()
        until = loop.time() + SECONDS
        rows = in_hand = list(await accept())
        while True:
            try:
                reply = await script([ref for _, ref in rows])
            except _REFUSED:
                await self.drop(in_hand)
                raise
            if reply not in (_UNAPPROVED, _GENERATION, _STALE):
                break
            if loop.time() > until:
                await self.drop(in_hand)
                raise UnavailableError("Redis is being recovered; try again later", 2)
            if reply != _STALE:
                await asyncio.sleep(LOOK_SECONDS)
            if reply != _UNAPPROVED:
                rows = list(await accept())
                in_hand = in_hand + rows
        if in_hand is not rows or not is_used(reply):
            await self.drop(in_hand)
        return reply

    async def drop(self, rows: Sequence[Row]) -> None:
        """Delete the rows that Redis has no use for.

        One that stays because a server is away is void, or its vCon is run without an answer.
        """
        words = [word for row in rows if row[1] for word in row]
        if not words:
            return
        with contextlib.suppress(UnavailableError):
            for ref in await self._connection.script("unnamed", *words):
                await self._keeper.drop(ref)
