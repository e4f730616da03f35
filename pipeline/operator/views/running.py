"""Runs in flight by age, and what waits: for a retry, for a lock, for a storage."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

from core.operator_interfaces import Call, Operation
from pipeline.operator.parts import Parts
from pipeline.operator.reading import parsed, readable, redis_now, scored
from pipeline.redis_client import keys
from schemas.operator.running import (
    MOST_RUNS,
    InFlight,
    Locked,
    Retry,
    Running,
    RunningQuery,
    StorageWait,
)
from schemas.run import Run
from schemas.run_page import RunQuery

RUNNING = Operation("running", "What runs now and what waits", RunningQuery, Running)
MOST_WAITING = 20
"""Lists that are shown of the elements that wait for one vCon."""


def in_flight(run: Run, now: datetime) -> InFlight:
    """A running run as it is shown."""
    step = run.step
    return InFlight(
        vcon=run.vcon_in,
        run=run.run_id,
        chain=run.chain,
        list_name=run.ingress_list,
        seconds=_since(run.started_at, now),
        step=step.name if step else None,
        kind=step.kind if step else None,
        step_seconds=_since(step.since, now) if step else None,
        attempt=run.attempts,
        worker=run.worker,
    )


def _since(began: datetime | None, now: datetime) -> float | None:
    return None if began is None else round(max((now - began).total_seconds(), 0), 3)


def last_error(checkpoint: Mapping[str, Any]) -> str | None:
    """The error of a run's checkpoint, or of its last step that failed."""
    steps = checkpoint.get("steps") or []
    errors = [step.get("error") for step in steps if step.get("error")]
    found = checkpoint.get("error") or (errors[-1] if errors else None)
    return None if found is None else str(found)


class RunningView:
    """Reads what runs and what waits from Redis."""

    def __init__(self, parts: Parts) -> None:
        self._redis = parts.redis
        self._configuration = parts.configuration
        self._operations = parts.operations

    async def show(self, query: RunningQuery, _call: Call) -> Running:
        """What runs and what waits now; of very many runs in flight, 500 are looked at."""
        now = await redis_now(self._redis)
        page = await self._operations.runs(
            RunQuery(status="running", chain=query.chain, limit=MOST_RUNS)
        )
        running = sorted(
            (in_flight(run, now) for run in page.runs), key=lambda each: -(each.seconds or 0)
        )
        held = await self._held_total()
        wanted = query.chain
        retries, retries_total = await self.retries(
            now, query.limit if wanted is None else MOST_RUNS
        )
        if wanted is not None:
            retries = [each for each in retries if each.chain == wanted]
            retries_total = len(retries)
        return Running(
            at=now,
            in_flight=running[: query.limit],
            in_flight_total=max(held, len(running)) if wanted is None else len(running),
            retries=retries[: query.limit],
            retries_total=retries_total,
            locked=(await self._locked(running))[: query.limit],
            storages=await self._storages(),
        )

    async def _held_total(self) -> int:
        workers = await readable(self._redis.command("SMEMBERS", keys.WORKERS), [])
        counts = await self._each("HLEN", map(keys.inflight, workers), 0)
        return sum(map(int, counts))

    async def _each(self, name: str, wanted: Any, otherwise: Any, *words: Any) -> list[Any]:
        command: Callable[..., Awaitable[Any]] = self._redis.command
        return await asyncio.gather(
            *(readable(command(name, key, *words), otherwise) for key in wanted)
        )

    async def retries(self, now: datetime, limit: int) -> tuple[list[Retry], int]:
        """The retries that are due first, and the number of all."""
        reading = self._redis.command("ZRANGE", keys.LATER, 0, limit - 1, "WITHSCORES")
        delayed = scored(await readable(reading, []))
        total = int(await readable(self._redis.command("ZCARD", keys.LATER), 0))
        places = [(*place.partition("\n")[::2], due) for place, due in delayed]
        found = await asyncio.gather(*(self._retry(*place, now) for place in places))
        return list(found), total

    async def _retry(self, list_name: str, element: str, due: float, now: datetime) -> Retry:
        reading = self._redis.command("HGET", keys.attempts(list_name), element)
        count, run_id, _ = f"{await readable(reading, None) or ''}\n\n".split("\n", 2)
        checkpoint = await self._checkpoint(run_id or element.partition("|")[2])
        vcon = element.partition("|")[0]
        return Retry(
            vcon=vcon,
            run=run_id or None,
            chain=checkpoint.get("chain") or self._chain(list_name),
            list_name=list_name,
            due_in=round(due / 1000 - now.timestamp(), 3),
            attempt=keys.attempts_made(count),
            error=last_error(checkpoint),
        )

    def _chain(self, list_name: str) -> str | None:
        chain = self._configuration.config.chain_reading(list_name)
        if chain is not None:
            return chain.name
        is_run_list = list_name.startswith(keys.RUN_LIST)
        return list_name.removeprefix(keys.RUN_LIST) if is_run_list else None

    async def _checkpoint(self, run_id: str) -> dict[str, Any]:
        if not run_id:
            return {}
        return parsed(await readable(self._redis.command("GET", keys.run(run_id)), None))

    async def _locked(self, running: Sequence[InFlight]) -> list[Locked]:
        names = [keys.waiting(each.vcon) for each in running]
        lengths = await self._each("LLEN", names, 0)
        waited = [each for each, length in zip(running, lengths, strict=True) if int(length)]
        shown = await self._each(
            "LRANGE", [keys.waiting(each.vcon) for each in waited], [], 0, MOST_WAITING - 1
        )
        counts = {each.vcon: int(n) for each, n in zip(running, lengths, strict=True)}
        return [
            Locked(
                vcon=each.vcon,
                held_by=each.chain,
                waiting=counts[each.vcon],
                lists=list(dict.fromkeys(place.partition("\n")[0] for place in places)),
            )
            for each, places in zip(waited, shown, strict=True)
        ]

    async def _storages(self) -> list[StorageWait]:
        names = list(self._configuration.config.storages)
        counts = await self._each("LLEN", map(keys.storage_dead_letters, names), 0)
        return [
            StorageWait(storage=name, count=int(count))
            for name, count in zip(names, counts, strict=True)
            if int(count)
        ]
