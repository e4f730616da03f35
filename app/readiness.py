"""Whether this replica should get traffic: what /ready says."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping

from app.supervisor import Supervisor
from core.db.database import database
from core.errors import PatchcordError
from core.thread_pool import in_own_thread

log = logging.getLogger(__name__)

INTERVAL = 2.0
"""Seconds between two looks at Redis and Postgres."""
LOOK_SECONDS = 10.0
"""Seconds that a look at Postgres may take."""


class Readiness:
    """Looks at the outside things now and then, so that a health check costs nothing."""

    def __init__(
        self,
        *,
        joined: Callable[[], bool],
        draining: Callable[[], bool],
        redis: Callable[[], Awaitable[bool]] | None,
        workers: Supervisor | None,
        token: Callable[[], bool] | None = None,
    ) -> None:
        """`redis` returns whether Redis answers.

        It and `workers` are None in a service without a pipeline.
        `token` says whether the token in use is still good; None where that does not matter.
        """
        self._token = token
        self._joined = joined
        self._draining = draining
        self._redis = redis
        self._workers = workers
        self._redis_answers = False
        self._postgres_answers = False
        self._postgres_problem: str | None = None
        self.migrated = False

    def checks(self) -> Mapping[str, bool]:
        """Every condition by name; ready when all of them hold."""
        return {
            **({} if self._redis is None else {"redis": self._redis_answers}),
            **({} if self._workers is None else {"workers": self._workers.complete}),
            **({} if self._token is None else {"token": self._token()}),
            "joined": self._joined(),
            "postgres": self._postgres_answers and self.migrated,
            "serving": not self._draining(),
        }

    async def watch(self) -> None:
        """Keep the checks fresh until cancelled; one that hangs does not hold up the other."""
        async with asyncio.TaskGroup() as looks:
            looks.create_task(_again_and_again(self.look_at_postgres))
            looks.create_task(_again_and_again(self._look_at_redis))

    async def look_at_postgres(self) -> None:
        """Ask Postgres once whether it answers, with a schema that this version can use."""
        try:
            async with asyncio.timeout(LOOK_SECONDS):
                problem = await in_own_thread(database.schema_problem)
        except PatchcordError as error:
            problem = str(error)
        except TimeoutError:  # it stood still once it had let the connection in
            problem = f"no answer within {LOOK_SECONDS:g} s"
        if self.migrated and problem != self._postgres_problem:
            self._postgres_problem = problem
            _tell(problem)
        self._postgres_answers = problem is None

    async def _look_at_redis(self) -> None:
        if self._redis is not None:
            self._redis_answers = await self._redis()


def _tell(problem: str | None) -> None:
    if problem is None:
        log.info("postgres can be used")
    else:
        log.error("postgres cannot be used", extra={"error": problem})


async def _again_and_again(look: Callable[[], Awaitable[None]]) -> None:
    while True:
        await look()
        await asyncio.sleep(INTERVAL)
