"""The checks of `/ready`: whether this replica can take requests."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping

from app.supervisor import Supervisor
from core.concurrency.aio import until_beat
from core.concurrency.thread_pool import in_own_thread
from core.db.database import database
from core.errors import PatchcordError

log = logging.getLogger(__name__)

INTERVAL = 2.0
"""Seconds between two checks of Redis and Postgres."""
CHECK_SECONDS = 10.0
"""Longest duration of one check of Postgres."""


class Readiness:
    """Checks Redis and Postgres every `INTERVAL` s, so that `/ready` only reads the results."""

    def __init__(
        self,
        *,
        joined: Callable[[], bool] | None,
        draining: Callable[[], bool],
        redis: Callable[[], Awaitable[bool]] | None,
        workers: Supervisor | None,
        token: Callable[[], bool] | None = None,
        interval: float = INTERVAL,
        check_seconds: float = CHECK_SECONDS,
    ) -> None:
        """`redis` returns whether Redis answers.

        `token` returns whether the token in use is still valid. None leaves a check out: `redis`
        and `workers` without a pipeline, `joined` and `token` without a Plugboard.
        """
        self._token = token
        self._interval = interval
        self._check_seconds = check_seconds
        self._joined = joined
        self._draining = draining
        self._redis = redis
        self._workers = workers
        self._redis_answers = False
        self._postgres_answers = False
        self._logged_problem: str | None = None
        self.postgres_problem: str | None = None
        """Why Postgres cannot be used, by the last check; None if it can."""
        self.migrated = False

    def checks(self) -> Mapping[str, bool]:
        """The conditions by name; the replica is ready when all are true."""
        return {
            **({} if self._redis is None else {"redis": self._redis_answers}),
            **({} if self._workers is None else {"workers": self._workers.complete}),
            **({} if self._token is None else {"token": self._token()}),
            **({} if self._joined is None else {"joined": self._joined()}),
            "postgres": self._postgres_answers and self.migrated,
            "serving": not self._draining(),
        }

    async def watch(self) -> None:
        """Repeat both checks until cancelled; one that hangs does not delay the other."""
        async with asyncio.TaskGroup() as checks:
            checks.create_task(self._repeat(self.check_postgres))
            checks.create_task(self._repeat(self._check_redis))

    async def check_postgres(self) -> None:
        """Check once that Postgres answers and has a schema that this version can use."""
        migrated = self.migrated  # a check that began before the migration ended tells nothing new
        try:
            async with asyncio.timeout(self._check_seconds):
                problem = await in_own_thread(database.schema_problem)
        except PatchcordError as error:
            problem = str(error)
        except TimeoutError:  # the server accepted the connection and then did not answer
            problem = f"no answer within {self._check_seconds:g} s"
        if migrated and problem != self._logged_problem:
            self._logged_problem = problem
            _log(problem)
        self.postgres_problem = problem
        self._postgres_answers = problem is None

    async def _check_redis(self) -> None:
        if self._redis is not None:
            self._redis_answers = await self._redis()

    async def _repeat(self, check: Callable[[], Awaitable[None]]) -> None:
        while True:
            await check()
            await asyncio.sleep(until_beat(self._interval))


def _log(problem: str | None) -> None:
    if problem is None:
        log.info("postgres can be used")
    else:
        log.error("postgres cannot be used", extra={"error": problem})
