"""Pausing and resuming chains, draining replicas.

A paused chain takes vCons in and claims none; runs in progress end. `claim.lua` reads the pauses
with each claim, so no claim follows the answer to `pause`, on any replica. A worker that skips
lists because of a pause claims again every half second, so it goes on within that time.
"""

import asyncio
import contextlib
from collections.abc import Iterable, Sequence
from datetime import timedelta
from typing import Any

from core.errors import InvalidError, UnknownNameError
from core.observability.storable_text import storable_text
from core.operator_interfaces import Call, Operation
from pipeline.live_config import Configuration
from pipeline.operator.entries import Entries, Entry
from pipeline.operator.parts import Parts
from pipeline.operator.replicas import ReplicaReader
from pipeline.operator.row import Handler, Row, about, all_arguments
from pipeline.redis_client import keys
from pipeline.redis_client.client import RedisConnection
from schemas.operator.pauses import (
    DrainedReplica,
    DrainRequest,
    DrainResult,
    Pause,
    PauseRequest,
    Pauses,
    PausesQuery,
    Resumed,
    ResumeRequest,
    Undrained,
    UndrainRequest,
)
from schemas.operator.replicas import LONGEST_TEXT, Replica, Replicas, ReplicasQuery

WAIT_SECONDS = 0.5
"""Seconds between two looks at a replica that shall hold nothing."""
SIGN_AFTER = timedelta(seconds=1)
"""From so long after the start of a drain on, a sign of life names all workers that count."""
SHOWN_NAMES = 20


class PauseOperations:
    """The operations."""

    def __init__(self, connection: RedisConnection, configuration: Configuration) -> None:
        """Only chains of the configuration can be paused."""
        self._configuration = configuration
        self._paused = Entries(connection, keys.PAUSED)
        self._drained = Entries(connection, keys.DRAINED)
        self._replicas = ReplicaReader(connection, configuration)

    async def pauses(self, _query: PausesQuery, _call: Call) -> Pauses:
        """What is in force now."""
        paused, drained, replicas = await asyncio.gather(
            self._paused.in_force(), self._drained.in_force(), self._replicas.ids()
        )
        return Pauses(
            paused=[self._pause(name, entry) for name, entry in paused.items()],
            drained=[_drained(name, entry, replicas) for name, entry in drained.items()],
        )

    async def pause(self, request: PauseRequest, call: Call) -> Pause:
        """Pause a chain; its workers claim nothing from its lists from now on.

        Raises:
            UnknownNameError: the configuration has no such chain.
            FullError: too many chains are paused.
        """
        chains = self._configuration.config.chains
        if request.chain not in chains:
            raise UnknownNameError("chain", request.chain, list(chains)[:SHOWN_NAMES])
        how = request.seconds, call.author.actor, call.reason
        return self._pause(request.chain, await self._paused.put(request.chain, *how))

    async def resume(self, request: ResumeRequest, _call: Call) -> Resumed:
        """End the pause of a chain, also of one that the configuration does not have any more.

        Raises:
            UnknownNameError: there is no such chain, and no pause of one.
        """
        name, chains = request.chain, self._configuration.config.chains
        before = await self._paused.take(name)
        if before is None and name not in chains:
            raise UnknownNameError("chain", name, list(chains)[:SHOWN_NAMES])
        return Resumed(chain=name, before=None if before is None else self._pause(name, before))

    async def drain(self, request: DrainRequest, call: Call) -> DrainResult:
        """Let the workers of a replica claim nothing; they finish what they hold.

        With `wait`, returns when it holds nothing, or after so many seconds.

        Raises:
            UnknownNameError: no such replica gives signs of life.
            InvalidError: several replicas are meant.
        """
        ids = await self._replicas.ids()
        replica_id = one_of(request.replica, ids)
        how = request.seconds, call.author.actor, call.reason
        entry = await self._drained.put(replica_id, *how)
        replica = await self._until_empty(replica_id, request.wait, call)
        return DrainResult(
            drained=_drained(replica_id, entry, ids),
            replica=replica,
            holds_nothing=_holds_nothing(replica),
            waited=request.wait > 0,
        )

    async def undrain(self, request: UndrainRequest, _call: Call) -> Undrained:
        """Let the workers of a drained replica claim again.

        Raises:
            UnknownNameError: there is no such replica, and no drain of one.
            InvalidError: several replicas are meant.
        """
        ids, drained = await asyncio.gather(self._replicas.ids(), self._drained.all())
        replica_id = one_of(request.replica, sorted({*ids, *drained}))
        before = await self._drained.take(replica_id)
        told = None if before is None else _drained(replica_id, before, ids)
        return Undrained(replica=replica_id, before=told)

    async def _until_empty(self, replica_id: str, seconds: float, call: Call) -> Replica | None:
        replica = await self._find(replica_id)
        if not seconds:
            return replica
        told = ""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while not _holds_nothing(replica) and replica and replica.drained:
                    if (text := _progress(replica)) != told:
                        call.progress(told := text)
                    await asyncio.sleep(WAIT_SECONDS)
                    replica = await self._find(replica_id)
        return replica

    async def _find(self, replica_id: str) -> Replica | None:
        found = await self._replicas.replicas(ReplicasQuery(replica=replica_id))
        return next((each for each in found.replicas if each.id == replica_id), None)

    def _pause(self, name: str, entry: Entry) -> Pause:
        known = name in self._configuration.config.chains
        shown = storable_text(name, LONGEST_TEXT)
        return Pause(chain=shown, configured=known, **dict(entry.drain))


def rows(parts: Parts) -> list[Row]:
    """Replicas, and what holds up their claims."""
    replicas = ReplicaReader(parts.redis, parts.configuration)
    pauses = PauseOperations(parts.redis, parts.configuration)
    told = {
        "replicas": "Which processes run, and what each holds",
        "pauses": "Which chains are paused and replicas drained",
        "pause": "Pause a chain: it takes vCons in and runs none",
        "resume": "End the pause of a chain",
        "drain": "Let a replica finish what it holds and claim nothing",
        "undrain": "Let a drained replica claim again",
    }

    def row(name: str, models: tuple[Any, Any], handler: Handler, target: str = "") -> Row:
        operation = Operation(name, told[name], *models, changes=bool(target))
        return Row(operation, handler, about(target) if target else all_arguments)

    return [
        row("replicas", (ReplicasQuery, Replicas), replicas.replicas),
        row("pauses", (PausesQuery, Pauses), pauses.pauses),
        row("pause", (PauseRequest, Pause), pauses.pause, "chain"),
        row("resume", (ResumeRequest, Resumed), pauses.resume, "chain"),
        row("drain", (DrainRequest, DrainResult), pauses.drain, "replica"),
        row("undrain", (UndrainRequest, Undrained), pauses.undrain, "replica"),
    ]


def one_of(text: str, ids: Sequence[str]) -> str:
    """The replica that is meant by its id, its host, or the beginning of its id.

    Raises:
        UnknownNameError: none is.
        InvalidError: several are.
    """
    if text in ids:
        return text
    of_host = [each for each in ids if each.rsplit(":", 2)[0] == text]
    found = of_host or [each for each in ids if each.startswith(text)]
    if not found:
        raise UnknownNameError("replica", text, list(ids)[:SHOWN_NAMES])
    if len(found) > 1:
        shown = ", ".join(found[:SHOWN_NAMES])
        msg = f"replica: {text} may mean {shown}; give more of the id"
        raise InvalidError(msg, [msg])
    return found[0]


def _drained(replica_id: str, entry: Entry, running: Iterable[str]) -> DrainedReplica:
    shown = storable_text(replica_id, LONGEST_TEXT)
    return DrainedReplica(replica=shown, running=replica_id in set(running), **dict(entry.drain))


def _holds_nothing(replica: Replica | None) -> bool:
    """Whether it has ended, or no worker of it holds a run.

    Its sign of life must be newer than the drain: an older one may lack a worker that holds runs.
    """
    if replica is None:
        return True
    begun = replica.drained.at if replica.drained else None
    if begun is None or replica.last_seen < begun + SIGN_AFTER:
        return False
    return replica.in_flight == 0


def _progress(replica: Replica) -> str:
    count = replica.in_flight
    text = f"{replica.id} holds {count} {'run' if count == 1 else 'runs'}"
    if replica.held:
        oldest = replica.held[0]
        since = f" since {oldest.since:%Y-%m-%d %H:%M:%S} UTC" if oldest.since else ""
        text += f"; the oldest: vCon {oldest.vcon}, chain {oldest.chain}{since}"
    return text
