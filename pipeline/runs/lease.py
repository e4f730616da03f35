"""Leases and checkpoints: what lets a worker continue a run, and stops it after another took over.

Why this is safe is at the head of `queues.py`.
"""

import asyncio
import contextlib
import logging
import threading
import time
from collections.abc import Callable
from typing import Protocol

from core.errors import ConflictError, PluginFailedError, UnavailableError
from pipeline.media import media
from pipeline.media.stores import MediaAwayError
from pipeline.redis_client import keys, own_keys
from pipeline.redis_client.client import CommandRefused, RedisConnection
from pipeline.runs.marks import Mark, began
from pipeline.runs.parking import Parked
from pipeline.runs.queues import CANCELLED, NOT_HELD, Queues
from pipeline.runs.run_state import RunState
from pipeline.runs.vcon_store import VconStore

log = logging.getLogger(__name__)

SLOW_STEP = 1.0
"""Seconds from which on a step is written at once; quicker ones are part of a later write."""
CUSTODY_AWAY = "waits for custody in Postgres, which does not answer"
CUSTODY_PAUSE = 5.0
"""Seconds until a step with a mark is tried again while Postgres is away."""
LEASE_POLL = 0.2
"""Seconds between two checks for a valid lease."""


class Lost(ConflictError):  # noqa: N818 -- control flow, not an error
    """This worker no longer holds the run; another worker may have taken it over."""


class StepCustody(Protocol):
    """What custody is told of steps with marks."""

    async def begun(self, live: RunState) -> bool:
        """Commit the marks of a run; False if Postgres is away."""
        ...

    async def paused(self, live: RunState) -> None:
        """Note from where the run goes on, if Postgres answers."""
        ...


class Checkpoints:
    """Writes the checkpoints of one worker's runs."""

    def __init__(
        self, connection: RedisConnection, queues: Queues, custody: StepCustody | None = None
    ) -> None:
        """Every write waits while Redis is unavailable or one of the service's keys unusable.

        `custody` is told of steps with marks (`marks.py`) before Redis is.
        """
        self._connection = connection
        self._queues = queues
        self._custody = custody
        self._media = media.installed(connection)

    async def begin(self, live: RunState, mark: Mark) -> None:
        """Write the mark of a step that begins now.

        Raises:
            Parked: custody does not answer; nothing is written.
            Lost: this worker no longer holds the run; nothing is written.
        """
        live.marks = (mark,)
        if self._custody is not None and not await self._custody.begun(live):
            live.marks = ()
            raise Parked(CUSTODY_AWAY, CUSTODY_PAUSE)
        await self.write(live, began(mark))
        live.keep()

    async def end(self, live: RunState) -> None:
        """Write the result of a step with a mark, and remove the mark.

        Raises:
            Lost: this worker no longer holds the run; nothing is written.
        """
        live.marks = ()
        await self.write(live, "")
        live.keep()
        if self._custody is not None:
            await self._custody.paused(live)

    async def write(self, live: RunState, told: str | None = None) -> None:
        """Write the checkpoint, and the vCon if Redis does not have it; notes a cancellation.

        `told`: what a version that ignores marks tells of a step that begins; "" at its end.

        Raises:
            Lost: this worker no longer holds the run; nothing is written.
        """
        written, begun = b"", 0

        async def attempt() -> int:
            nonlocal written, begun
            record = live.record()
            if written := record.document:
                begun = live.memory.begin_write()
            return await self._queues.checkpoint(live.worker, live.claim, record, told)

        reply = await own_keys.insist(self._connection, attempt)
        if reply == NOT_HELD:
            raise Lost
        live.cancelled = live.cancelled or reply == CANCELLED
        if live.memory.unwritten is written:  # else a storage has written meanwhile
            live.memory.unwritten = b""
        if written:
            live.memory.end_write(live.progress.vcon, written, begun)

    async def own(self, vcon_uuid: str) -> None:
        """Make the internal API the owner of a vCon that a link has made, if it has none."""
        with contextlib.suppress(CommandRefused):  # the key has another type
            await self._connection.command("HSETNX", keys.OWNERS, vcon_uuid, "")

    async def made(self, vcon_uuid: str, version: str) -> None:
        """Note a version of a vCon that is about to be written, for an erasure of the vCon."""
        with contextlib.suppress(CommandRefused):  # the key has another type
            await self._connection.command(
                "HSET", keys.about(vcon_uuid), f"{keys.VERSION_OF}{version}", ""
            )

    async def note_slow(self, live: RunState, seconds: float) -> None:
        """Write a checkpoint if the last step was a slow one.

        Raises:
            Lost: this worker no longer holds the run.
        """
        if seconds >= SLOW_STEP:
            await self.write(live)

    async def make_way(self, live: RunState, *, only_through_lib: bool) -> None:
        """Prepare for a plugin. One that may use Redis directly finds the vCon written there.

        What this process remembers of the vCon is forgotten then, since the plugin may change it.

        Raises:
            Lost: this worker no longer holds the run.
        """
        memory = live.memory
        if not (only_through_lib and memory.in_use):  # the plugin before may have changed it
            if memory.unwritten:
                await self.write(live)
            memory.forget()
        memory.in_use = only_through_lib
        if self._media.is_on and not only_through_lib:
            await own_keys.insist(self._connection, lambda: self._made_whole(live))

    async def _made_whole(self, live: RunState) -> None:
        """Put media back for a plugin that may read Redis directly (MEDIA_STORE)."""
        try:
            await VconStore(self._connection).make_whole(live.progress.vcon)
        except MediaAwayError as error:  # Redis is there: the attempt fails, and is repeated
            raise PluginFailedError(str(error)) from error


class Lease:
    """Renews a worker's lease in Redis three times per lease, in a thread of its own.

    A busy event loop does not delay it. Renewing also keeps the claimed vCons from expiring.
    `lapses` counts how often the lease has run out: a run that was claimed under an earlier count
    may have been taken over.
    """

    def __init__(
        self,
        connection: RedisConnection,
        worker: str,
        seconds: float,
        goes_on: Callable[[], bool] = lambda: True,
    ) -> None:
        """Nothing happens until `start`.

        The lease is renewed only while `goes_on` returns True: the worker makes progress.
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
        """Whether this worker may start a step now."""
        return time.monotonic() < self._valid_until

    def start(self) -> None:
        """Take the lease and start to renew it.

        Raises:
            UnavailableError: Redis cannot be reached.
        """
        self._renew()
        self._thread.start()

    def stop(self) -> None:
        """End the lease; the caller has settled or returned every claim."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join()
        self._valid_until = 0.0
        try:
            self._connection.command_from_thread("DEL", keys.worker(self._worker))
        except UnavailableError:
            log.debug("lease not ended; it expires")

    def _beat(self) -> None:
        while not self._stopping.wait(self._seconds / 3):
            try:
                if self._goes_on():
                    self._renew()
            except Exception as error:  # noqa: BLE001 -- the thread must go on
                log.warning("lease renewal failed", extra={"error": str(error)})

    def _renew(self) -> None:
        asked_at = time.monotonic()
        ran_out = asked_at >= self._valid_until
        milliseconds = int(self._seconds * 1000)
        known = self._connection.script_from_thread("renew", self._worker, milliseconds)
        if self._valid_until and (ran_out or not known):  # by this clock, or by Redis'
            self.lapses += 1
        self._valid_until = asked_at + self._seconds


class LeaseGuard:
    """Checks before each step that this worker still holds the run."""

    def __init__(self, lease: Lease, checkpoints: Checkpoints) -> None:
        """A run is certainly held as long as the lease has not lapsed since its claim."""
        self._lease = lease
        self._checkpoints = checkpoints

    @property
    def lapses(self) -> int:
        """How often the lease has lapsed so far."""
        return self._lease.lapses

    async def confirm(self, live: RunState) -> None:
        """Wait for a valid lease; after a lapse, find out by a checkpoint who holds the run.

        Raises:
            Lost: this worker no longer holds the run.
        """
        while not self._lease.valid:  # noqa: ASYNC110 -- the lease is kept by a thread
            await asyncio.sleep(LEASE_POLL)
        lapses = self._lease.lapses
        if live.lapses != lapses:
            await self._checkpoints.write(live)
            live.lapses = lapses

    def is_sure(self, live: RunState) -> bool:
        """Whether `confirm` would return at once; may be called from a thread."""
        return self._lease.valid and self._lease.lapses == live.lapses
