"""The register of replicas: each service and API process writes signs of life to Redis.

A process writes `pc:process:{id}` every `SIGN_SECONDS`; the key expires after `KEPT_SECONDS`, so a
killed process leaves the register by itself. One that stops removes it.
"""

import asyncio
import contextlib
import os
import socket
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Literal, NamedTuple

import orjson

from core.errors import UnavailableError
from core.observability.logs import without_secrets
from core.settings import Settings
from core.version import VERSION
from pipeline.admin.redis_checks import RedisWatch
from pipeline.live_config import Configuration
from pipeline.media.rules import in_force, media_rule
from pipeline.redis_client.client import CommandRefused, RedisConnection
from schemas.operator.replicas import (
    LONGEST_TEXT,
    MOST_BROKEN,
    MOST_TEXTS,
    MOST_WORKERS,
    ReplicaState,
)

SIGN_SECONDS = 2.0
"""Seconds between two signs of life."""
KEPT_SECONDS = 15.0
"""Seconds after the last sign until a process counts as ended."""
LEAVE_SECONDS = 1.0
"""Longest wait for Redis when the process stops."""


class HostFacts(NamedTuple):
    """What the process outside the pipeline knows of itself."""

    kind: Literal["serve", "api"] = "serve"
    workers: Sequence[str] = ()
    slots: int = 0
    joined: bool | None = None
    token_expires_at: datetime | None = None
    postgres: str | None = None
    actions: str | None = None
    stopping: bool = False


def new_replica_id() -> str:
    """An id for this process: host, pid, and the time in ms."""
    return f"{socket.gethostname()}:{os.getpid()}:{time.time_ns() // 1_000_000}"


class Register:
    """Registers this process."""

    def __init__(
        self,
        connection: RedisConnection,
        settings: Settings,
        configuration: Configuration,
        redis_watch: RedisWatch,
    ) -> None:
        """Nothing is written before `sign`; `about` gives the facts at each sign."""
        self.id = new_replica_id()
        self.about: Callable[[], HostFacts] = HostFacts
        self._connection = connection
        self._settings = settings
        self._configuration = configuration
        self._redis_watch = redis_watch
        self._started = datetime.now(UTC)
        self._writing: asyncio.Future[None] | None = None

    async def sign(self) -> None:
        """Write one sign of life.

        Raises:
            UnavailableError: Redis cannot be reached.
        """
        self._writing = asyncio.ensure_future(self._write())
        await asyncio.shield(self._writing)

    async def leave(self) -> None:
        """Remove this process. A sign that is being written is awaited first."""
        if self._writing is None:  # it never was registered
            return
        with contextlib.suppress(UnavailableError, CommandRefused, TimeoutError):
            async with asyncio.timeout(LEAVE_SECONDS):
                if not self._writing.done():
                    await self._writing
                await self._connection.script("register", self.id, 0)

    async def _write(self) -> None:
        state = self.state().model_dump(mode="json")
        state["media"] = media_rule(in_force())  # see `pipeline.media.sweep`
        words = [word for name, value in state.items() for word in (name, orjson.dumps(value))]
        await self._connection.script("register", self.id, int(KEPT_SECONDS * 1000), *words)

    def state(self) -> ReplicaState:
        """What is written now, without secrets and within the bounds."""
        facts, notes = self.about(), self._configuration.notes
        return ReplicaState(
            id=self.id,
            kind=facts.kind,
            host=socket.gethostname(),
            pid=os.getpid(),
            started=self._started,
            version=VERSION,
            commit=_short(self._settings.vcon_server_git_commit),
            workers=list(facts.workers[:MOST_WORKERS]),
            slots=facts.slots,
            config_hash=self._configuration.config.hash,
            notes_count=len(notes),
            notes=_shown(notes),
            broken=self._broken(),
            actions=facts.actions,
            joined=facts.joined,
            token_expires_at=facts.token_expires_at,
            postgres=None if facts.postgres is None else _short(facts.postgres),
            redis_warnings=_shown(self._redis_watch.warnings),
            stopping=facts.stopping,
        )

    def _broken(self) -> dict[str, str]:
        chains = [each for each in self._configuration.config.chains.values() if each.broken]
        return {_short(each.name): _short(each.broken[0]) for each in chains[:MOST_BROKEN]}


def _shown(texts: Sequence[str]) -> list[str]:
    return [_short(text) for text in texts[:MOST_TEXTS]]


def _short(text: str) -> str:
    return without_secrets(text)[:LONGEST_TEXT]
