"""Replays a storage's dead letters once the storage accepts vCons again.

A trial replays one vCon, the oldest, and waits for the end of its run. A vCon that fails again is
put at the end of the list, so the next trial uses another one. After a success the batch doubles;
after a failure one vCon is tried after a pause that doubles.
"""

import contextlib
import logging
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import orjson

from core.concurrency.backoff import Backoff
from core.errors import UnusableKeyError
from pipeline.admin.operations import PipelineOperations
from pipeline.live_config import Configuration
from pipeline.redis_client import keys
from pipeline.redis_client.client import RedisConnection
from schemas.run import FINISHED

log = logging.getLogger(__name__)

BATCH_MAX = 500
BACKOFF = Backoff(first=1, cap=16)
"""Pauses between trials, in rounds."""
TRIAL_ROUNDS = 120
"""Rounds that a trial waits for its runs; no chain may read their list any more."""
OWNED_ROUNDS = 3
"""Rounds after which another replica takes over from one that is gone."""

type Outcome = bool | None
"""True if the storage stored the vCon; None while its run goes on."""


@dataclass(frozen=True, slots=True)
class Trial:
    """The state of one storage: replay `batch` vCons, after `skip` more rounds.

    The last `failures` trials stored no vCon. `runs` were replayed `waited` rounds ago and have
    not all ended.
    """

    batch: int = 1
    failures: int = 0
    skip: int = 0
    runs: Sequence[str] = ()
    waited: int = 0

    @property
    def is_due(self) -> bool:
        """True if the next batch can be replayed now."""
        return not self.skip and not self.runs


def judge(trial: Trial, outcomes: Sequence[Outcome]) -> Trial:
    """The next state, given the outcome of each run of the trial.

    If no vCon was stored, one is tried after a pause that doubles; if all were, twice as many.
    """
    if trial.skip:
        return replace(trial, skip=trial.skip - 1)
    if not trial.runs:
        return trial
    if None in outcomes and trial.waited < TRIAL_ROUNDS:
        return replace(trial, waited=trial.waited + 1)
    if True not in outcomes:
        failures = trial.failures + 1
        return Trial(batch=1, failures=failures, skip=int(BACKOFF.wait(failures)))
    return Trial(batch=min(trial.batch * 2, BATCH_MAX) if all(outcomes) else trial.batch)


def outcome_of(run: Mapping[str, Any] | None, storage: str) -> Outcome:
    """The outcome of a run by its checkpoint; an expired checkpoint (None) counts as success."""
    if run is None:
        return True
    if run["status"] not in FINISHED:
        return None
    refused = {"name": storage, "kind": "storage", "outcome": "failed"}
    return not any(refused.items() <= step.items() for step in run["steps"])


class AutoReplay:
    """Runs the trials of every storage; one replica at a time has a storage."""

    def __init__(
        self,
        connection: RedisConnection,
        configuration: Configuration,
        operations: PipelineOperations,
        interval: float,
    ) -> None:
        """`interval`: seconds between two rounds."""
        self._connection = connection
        self._configuration = configuration
        self._operations = operations
        self._owned_ms = int(interval * 1000 * OWNED_ROUNDS)
        self._name = uuid.uuid4().hex
        self._trials: dict[str, Trial] = {}

    async def round(self) -> None:
        """Advance the trial of every storage."""
        for storage in self._configuration.config.storages:
            with contextlib.suppress(UnusableKeyError):  # other storages go on
                await self._look_at(storage)

    async def _look_at(self, storage: str) -> None:
        trial = self._trials.get(storage, Trial())
        if not trial.runs and not await self._has_letters(storage):
            self._trials.pop(storage, None)
        elif await self._is_ours(storage):
            self._trials[storage] = await self._next(storage, trial)

    async def _has_letters(self, storage: str) -> bool:
        return bool(await self._connection.command("EXISTS", keys.storage_dead_letters(storage)))

    async def _is_ours(self, storage: str) -> bool:
        """True if this replica has the storage: the first one keeps it while it runs."""
        owned = keys.replayer(storage), self._name, self._owned_ms
        return bool(await self._connection.script("own", *owned))

    async def _next(self, storage: str, trial: Trial) -> Trial:
        trial = judge(
            trial, [outcome_of(run, storage) for run in await self._checkpoints(trial.runs)]
        )
        if not trial.is_due:
            return trial
        started = await self._operations.replay_storage(storage, trial.batch)
        if started:
            log.info("storage is tried again", extra={"storage": storage, "count": len(started)})
        return replace(trial, runs=started)

    async def _checkpoints(self, runs: Sequence[str]) -> list[dict[str, Any] | None]:
        if not runs:
            return []
        texts = await self._connection.command("MGET", *map(keys.run, runs))
        return [orjson.loads(text) if text else None for text in texts]
