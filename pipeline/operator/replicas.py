"""Reads the register of replicas: which processes run, what each says of itself, what it holds."""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from itertools import batched

import orjson
from pydantic import BaseModel, ValidationError

from core.observability.storable_text import storable_text
from core.operator_interfaces import Call
from pipeline.config.parser import PipelineConfig
from pipeline.live_config import Configuration
from pipeline.operator.entries import Entries
from pipeline.redis_client import keys
from pipeline.redis_client.client import CommandRefused, RedisConnection
from schemas.operator.replicas import (
    LONGEST_TEXT,
    MOST_REPLICAS,
    Drain,
    HeldRun,
    Replica,
    Replicas,
    ReplicasQuery,
    ReplicaState,
)
from schemas.run import StepReport

READ_AT_ONCE = 50
"""Processes that are read beside each other."""
BREAKS = 3
"""Line breaks in a value of `pc:inflight:`: token, run, list, element."""
_FIELDS = ("seen", *ReplicaState.model_fields)


class ReplicaReader:
    """Reads all processes of this Redis."""

    def __init__(self, connection: RedisConnection, configuration: Configuration) -> None:
        """The configuration tells which chain reads a list."""
        self._redis = connection
        self._configuration = configuration
        self._drained = Entries(connection, keys.DRAINED)

    async def replicas(self, query: ReplicasQuery, _call: Call | None = None) -> Replicas:
        """The processes by host and start, each with the oldest runs that it holds.

        Raises:
            UnavailableError: Redis cannot be reached.
            UnusableKeyError: the register has another type.
        """
        ids = await self._redis.command("SRANDMEMBER", keys.PROCESSES, MOST_REPLICAS)
        wanted = sorted(each for each in ids if each.startswith(query.replica or ""))
        found: list[Replica | None] = []
        for part in batched(wanted, READ_AT_ONCE):
            found += await asyncio.gather(*(self._read(each, query.held) for each in part))
        known = [each for each in found if each is not None]
        return Replicas(replicas=known, unreadable=len(await self._left(wanted, known)))

    async def ids(self) -> list[str]:
        """The ids of the processes that give signs of life, sorted.

        Raises:
            UnavailableError: Redis cannot be reached.
            UnusableKeyError: the register has another type.
        """
        ids = sorted(await self._redis.command("SRANDMEMBER", keys.PROCESSES, MOST_REPLICAS))
        there = await asyncio.gather(
            *(self._redis.command("EXISTS", keys.process(each)) for each in ids)
        )
        return [name for name, exists in zip(ids, there, strict=True) if exists]

    async def _left(self, wanted: Sequence[str], known: Sequence[Replica]) -> list[str]:
        """The ids that have a key, but none that a process of this service has written."""
        others = sorted(set(wanted) - {each.id for each in known})
        there = await asyncio.gather(
            *(self._redis.command("EXISTS", keys.process(each)) for each in others)
        )
        return [name for name, exists in zip(others, there, strict=True) if exists]

    async def _read(self, replica_id: str, most_held: int) -> Replica | None:
        """One process; None if it has ended, or its key is another program's."""
        (seconds, micros), fields, drain = await asyncio.gather(
            self._redis.command("TIME"),
            self._fields(keys.process(replica_id)),
            self._drain_of(replica_id),
        )
        state = state_of(fields)
        if state is None or state.id != replica_id:
            return None
        seen, now = _seen(fields.get("seen")), int(seconds) + int(micros) / 1_000_000
        in_flight, held = await self._held(state.workers, most_held)
        return Replica(
            **dict(state),
            age=max(0.0, round(now - seen.timestamp(), 3)),
            last_seen=seen,
            in_flight=in_flight,
            held=held,
            drained=drain,
        )

    async def _fields(self, key: str) -> dict[str, str]:
        try:
            values = await self._redis.command("HMGET", key, *_FIELDS)
        except CommandRefused:  # another program's
            return {}
        pairs = zip(_FIELDS, values, strict=True)
        return {name: value for name, value in pairs if value is not None}

    async def _drain_of(self, replica_id: str) -> Drain | None:
        try:
            entry = await self._drained.find(replica_id)
        except CommandRefused:  # the key has another type
            return None
        return None if entry is None else entry.drain

    async def _held(self, workers: Sequence[str], most: int) -> tuple[int, list[HeldRun]]:
        """How many runs these workers hold, and the oldest of them."""
        counts = await asyncio.gather(*(self._count(each) for each in workers))
        shown: list[HeldRun] = []
        for worker, count in zip(workers, counts, strict=True):
            if count and len(shown) < most:
                shown += await self._runs(worker, most - len(shown))
        return sum(counts), sorted(shown, key=_age_first)

    async def _count(self, worker: str) -> int:
        try:
            return int(await self._redis.command("HLEN", keys.inflight(worker)))
        except CommandRefused:
            return 0

    async def _runs(self, worker: str, most: int) -> list[HeldRun]:
        held = keys.inflight(worker)
        uuids = await self._redis.command("HRANDFIELD", held, most)
        values = await self._redis.command("HMGET", held, *uuids) if uuids else []
        pairs = zip(uuids, values, strict=True)
        rows = [(uuid, value) for uuid, value in pairs if value and value.count("\n") >= BREAKS]
        reports = await asyncio.gather(*(self._report(value) for _, value in rows))
        config = self._configuration.config
        return [
            _held_run(vcon, value, worker, report, config)
            for (vcon, value), report in zip(rows, reports, strict=True)
        ]

    async def _report(self, value: str) -> StepReport | None:
        token, run, _ = value.split("\n", 2)
        try:
            text = await self._redis.command("GET", keys.step(run)) or ""
        except CommandRefused:
            return None
        said, _, report = text.partition("\n")
        return _valid(StepReport, report) if said == token else None


def state_of(fields: Mapping[str, str]) -> ReplicaState | None:
    """What a process has written; None if another program has written it."""
    try:
        return ReplicaState.model_validate(
            {name: orjson.loads(text) for name, text in fields.items() if name != "seen"}
        )
    except ValueError:
        return None


def _valid[Model: BaseModel](model: type[Model], text: str) -> Model | None:
    try:
        return model.model_validate_json(text)
    except ValidationError:
        return None


def _held_run(
    vcon: str, value: str, worker: str, report: StepReport | None, config: PipelineConfig
) -> HeldRun:
    _, run, name, _ = value.split("\n", 3)
    return HeldRun(
        vcon=storable_text(vcon, LONGEST_TEXT),
        run=storable_text(run, LONGEST_TEXT),
        chain=storable_text(chain_of(config, name), LONGEST_TEXT),
        list_name=storable_text(name, LONGEST_TEXT),
        worker=worker,
        since=report.started_at if report else None,
        step=report.step.name if report and report.step else None,
    )


def chain_of(config: PipelineConfig, list_name: str) -> str:
    """The chain that reads a list, also if it is disabled; the list's name if none is known."""
    if list_name.startswith(keys.RUN_LIST):
        return list_name.removeprefix(keys.RUN_LIST)
    chains = config.chains.values()
    return next((each.name for each in chains if list_name in each.ingress_lists), list_name)


def _age_first(run: HeldRun) -> tuple[bool, float]:
    return run.since is None, run.since.timestamp() if run.since else 0.0


def _seen(milliseconds: str | None) -> datetime:
    try:
        return datetime.fromtimestamp(float(milliseconds or 0) / 1000, UTC)
    except (ValueError, OverflowError, OSError):
        return datetime.fromtimestamp(0, UTC)
