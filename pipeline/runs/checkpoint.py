"""Writing down how far a run has come, as long as it is ours."""

import contextlib

from core.errors import ConflictError
from pipeline.redis_client import keys, own_keys
from pipeline.redis_client.client import CommandRefused, RedisConnection
from pipeline.runs.queues import Queues
from pipeline.runs.run_state import RunState

SLOW_STEP = 1.0
"""Seconds after which a step is journaled at once; what is quicker waits for a ride."""


class Lost(ConflictError):  # noqa: N818 -- control flow, not an error
    """This worker no longer holds the run: somebody else goes on with it."""


class Checkpoints:
    """The journals of one worker's runs."""

    def __init__(self, connection: RedisConnection, queues: Queues) -> None:
        """Waits for Redis when it is away, and for keys of ours that have another type."""
        self._connection = connection
        self._queues = queues

    async def write(self, live: RunState) -> None:
        """Redis has the journal and the vCon as they are now.

        Raises:
            Lost: when the run is not ours any more; nothing is written.
        """
        written: bytes | str = b""

        async def attempt() -> bool:
            nonlocal written
            record = live.record()
            written = record.document
            return await self._queues.journal(live.worker, live.claim, record)

        if not await own_keys.insist(self._connection, attempt):
            raise Lost
        if live.memory.unwritten is written:  # else another storage has written meanwhile
            live.memory.unwritten = b""

    async def own(self, vcon_uuid: str) -> None:
        """A link goes on with another vCon: ours, unless it has an owner already.

        The run's record names the first and the last vCon only, and may be gone one day.
        """
        with contextlib.suppress(CommandRefused):  # another program uses the key
            await self._connection.command("HSETNX", keys.OWNERS, vcon_uuid, "")

    async def note_slow(self, live: RunState, seconds: float) -> None:
        """Write if the step just noted was a slow one.

        Raises:
            Lost: when the run is not ours any more.
        """
        if seconds >= SLOW_STEP:
            await self.write(live)

    async def make_way(self, live: RunState, *, only_through_lib: bool) -> None:
        """Before a plugin that goes to Redis by itself: Redis has everything, we know nothing.

        Raises:
            Lost: when the run is not ours any more.
        """
        memory = live.memory
        memory.in_use = only_through_lib
        if not only_through_lib:
            if memory.unwritten:
                await self.write(live)
            memory.forget()
