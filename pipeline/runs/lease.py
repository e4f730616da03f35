"""Whether a worker may go on with a run."""

import asyncio
import contextlib
import logging
import threading
import time
from collections.abc import Callable

from core.errors import ConflictError, UnavailableError
from pipeline.redis_client import keys, own_keys
from pipeline.redis_client.client import CommandRefused, RedisConnection
from pipeline.runs.queues import CANCELLED, NOT_HELD, Queues
from pipeline.runs.run_state import RunState

# Writing down how far a run has come, as long as it is ours.

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
        """Write the checkpoint and the vCon as they are now; notes a cancellation it learns of.

        Raises:
            Lost: when the run is not ours any more; nothing is written.
        """
        written: bytes | str = b""

        async def attempt() -> int:
            nonlocal written
            record = live.record()
            written = record.document
            return await self._queues.checkpoint(live.worker, live.claim, record)

        reply = await own_keys.insist(self._connection, attempt)
        if reply == NOT_HELD:
            raise Lost
        live.cancelled = live.cancelled or reply == CANCELLED
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


# A worker's sign of life, kept by a thread of its own so that a busy event loop cannot miss it.

log = logging.getLogger(__name__)


class Lease:
    """Says `worker is alive` to Redis three times per lease.

    What the worker holds does not expire meanwhile, whatever time a link has given it.
    `lapses` counts how often the lease has run out: a run that was claimed under an earlier count
    may have been given to somebody else since.
    """

    def __init__(
        self,
        connection: RedisConnection,
        worker: str,
        seconds: float,
        goes_on: Callable[[], bool] = lambda: True,
    ) -> None:
        """Nothing happens until `start`.

        `goes_on` says whether the worker's event loop makes progress: only then is it renewed.
        """
        self._connection = connection
        self._worker = worker
        self._seconds = seconds
        self._goes_on = goes_on
        self._valid_until = 0.0
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._beat, name="lease", daemon=True)
        self.lapses = 0

    @property
    def valid(self) -> bool:
        """Whether this worker may start anything now."""
        return time.monotonic() < self._valid_until

    def start(self) -> None:
        """Take the lease, then keep it.

        Raises:
            UnavailableError: when Redis cannot be reached.
        """
        self._renew()
        self._thread.start()

    def stop(self) -> None:
        """Stop keeping it. The caller has settled everything it held."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join()
        self._valid_until = 0.0
        try:
            self._connection.command_from_thread("DEL", keys.worker(self._worker))
        except UnavailableError:
            log.debug("the lease runs out by itself")

    def _beat(self) -> None:
        while not self._stopping.wait(self._seconds / 3):
            try:
                if self._goes_on():
                    self._renew()
            except Exception as error:  # noqa: BLE001 -- this thread must outlive whatever it is
                log.warning("lease renewal failed", extra={"error": str(error)})

    def _renew(self) -> None:
        asked_at = time.monotonic()
        ran_out = asked_at >= self._valid_until
        milliseconds = int(self._seconds * 1000)
        known = self._connection.script_from_thread("renew", self._worker, milliseconds)
        if self._valid_until and (ran_out or not known):  # clocks differ: Redis' counts as well
            self.lapses += 1
        self._valid_until = asked_at + self._seconds


LEASE_POLL = 0.2


class LeaseGuard:
    """To be asked before anything is started on behalf of a run."""

    def __init__(self, lease: Lease, journal: Checkpoints) -> None:
        """A run is held as long as the lease has not lapsed since it was claimed."""
        self._lease = lease
        self._journal = journal

    @property
    def lapses(self) -> int:
        """How often the lease has lapsed so far."""
        return self._lease.lapses

    async def confirm(self, live: RunState) -> None:
        """Nothing starts without a lease; after a lapse, only what is still in our hands.

        Raises:
            Lost: when another worker has taken the run over.
        """
        while not self._lease.valid:  # noqa: ASYNC110 -- the lease is kept by a thread
            await asyncio.sleep(LEASE_POLL)
        lapses = self._lease.lapses
        if live.lapses != lapses:
            await self._journal.write(live)
            live.lapses = lapses

    def is_sure(self, live: RunState) -> bool:
        """Whether nothing needs to be asked just now; from a thread, too."""
        return self._lease.valid and self._lease.lapses == live.lapses
