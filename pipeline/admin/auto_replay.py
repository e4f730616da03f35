"""Brings a storage's dead letters back by itself once the storage answers again.

Whether it does is found out by trying: one vCon first, the oldest. Nothing more is tried before
that run has ended. Those that were refused again stand at the end of the list, so nothing blocks
the way; the next try is another vCon.
"""

import contextlib
import logging
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import orjson

from core.errors import UnusableKeyError
from pipeline.admin.operations import PipelineOperations
from pipeline.live_config import Configuration
from pipeline.redis_client import keys
from pipeline.redis_client.client import RedisConnection
from schemas.run import FINISHED

log = logging.getLogger(__name__)

BATCH_MAX = 500
PAUSE_MAX = 16
"""Rounds that a storage is left alone for at most."""
PATIENCE = 120
"""Rounds that a run is waited for; its list may have lost its reader meanwhile."""
OWNED_ROUNDS = 3
"""Rounds after which another replica takes over from one that is gone."""

type Outcome = bool | None
"""Whether the storage took a vCon; None while its run goes on."""


@dataclass(frozen=True, slots=True)
class Trial:
    """How far one storage is trusted: `batch` vCons at a time, and not for `skip` rounds yet.

    `runs` are those that have been tried and not been judged, for `waited` rounds.
    """

    batch: int = 1
    pause: int = 1
    skip: int = 0
    runs: Sequence[str] = ()
    waited: int = 0

    @property
    def is_due(self) -> bool:
        """Whether to try (again) now."""
        return not self.skip and not self.runs


def judge(trial: Trial, outcomes: Sequence[Outcome]) -> Trial:
    """What to do next, given what came of each run that was tried.

    When none was taken, the storage is still down: one at a time, after a pause that doubles. When
    all were, it is up: twice as many.
    """
    if trial.skip:
        return replace(trial, skip=trial.skip - 1)
    if not trial.runs:
        return trial
    if None in outcomes and trial.waited < PATIENCE:
        return replace(trial, waited=trial.waited + 1)
    if True not in outcomes:
        pause = min(trial.pause * 2, PAUSE_MAX)
        return Trial(batch=1, pause=pause, skip=pause)
    return Trial(batch=min(trial.batch * 2, BATCH_MAX) if all(outcomes) else trial.batch)


def outcome_of(run: Mapping[str, Any] | None, storage: str) -> Outcome:
    """What came of a run, given its journal. One that is gone has not been refused."""
    if run is None:
        return True
    if run["status"] not in FINISHED:
        return None
    refused = {"name": storage, "kind": "storage", "outcome": "failed"}
    return not any(refused.items() <= step.items() for step in run["steps"])


class AutoReplay:
    """Looks at every storage once a round; one replica at a time does so."""

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
        """Try what is due, for every storage."""
        for storage in self._configuration.config.storages:
            with contextlib.suppress(UnusableKeyError):  # those of other storages come back
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
        """Replicas would double the trials; whoever was first goes on with a storage."""
        owned = keys.replayer(storage), self._name, self._owned_ms
        return bool(await self._connection.script("own", *owned))

    async def _next(self, storage: str, trial: Trial) -> Trial:
        trial = judge(trial, [outcome_of(run, storage) for run in await self._journals(trial.runs)])
        if not trial.is_due:
            return trial
        runs = await self._operations.replay_storage(storage, trial.batch)
        if runs:
            log.info("storage is tried again", extra={"storage": storage, "count": len(runs)})
        return replace(trial, runs=runs)

    async def _journals(self, runs: Sequence[str]) -> list[dict[str, Any] | None]:
        if not runs:
            return []
        texts = await self._connection.command("MGET", *map(keys.run, runs))
        return [orjson.loads(text) if text else None for text in texts]
