"""The records of replays in Redis, by which another process watches and stops one.

`pc:replay:{id}` is a hash: `record`, JSON, written by the process that replays, and `stop`, written
by the one that wants it to end. `pc:replays` has the ids of the last ones by their start.
"""

import asyncio
from datetime import UTC, datetime, timedelta

import orjson
from pydantic import ValidationError

from core.errors import ConflictError, UnknownNameError
from pipeline.redis_client import keys
from pipeline.redis_client.client import RedisConnection
from schemas.operator.failures import Replay

KEPT_SECONDS = 30 * 86_400
"""Time to live of a record after it was last written."""
MOST = 200
"""Replays that are listed; the records of older ones expire by themselves."""
STALE = timedelta(seconds=30)
"""A replay that goes on writes its record every second."""
ENDED = ("counted", "done", "stopped", "canary failed", "failing again")


class ReplayRecords:
    """Writes and reads the records."""

    def __init__(self, connection: RedisConnection) -> None:
        self._connection = connection

    async def begin(self, replay: Replay) -> None:
        """Write a new record.

        Raises:
            UnusableKeyError: a key of the records has another type; nothing is replayed then.
        """
        started = int(replay.started.timestamp() * 1000)
        await self._connection.command("ZADD", keys.REPLAYS, started, replay.id)
        await self._connection.command("ZREMRANGEBYRANK", keys.REPLAYS, 0, -MOST - 1)
        await self.write(replay)

    async def write(self, replay: Replay) -> str | None:
        """Write a record; who asked that the replay stops, if that was asked."""
        replay.updated = datetime.now(UTC)
        key = keys.replay(replay.id)
        _, _, stop = await asyncio.gather(
            self._connection.command("HSET", key, "record", replay.model_dump_json()),
            self._connection.command("EXPIRE", key, KEPT_SECONDS),
            self._connection.command("HGET", key, "stop"),
        )
        return None if stop is None else str(stop)

    async def last(self, limit: int) -> list[Replay]:
        """The newest records that are readable."""
        ids = await self._connection.command("ZREVRANGE", keys.REPLAYS, 0, limit - 1)
        found = await asyncio.gather(*(self._read(each) for each in ids))
        return [each for each in found if each is not None]

    async def one(self, replay_id: str) -> Replay:
        """One record.

        Raises:
            UnknownNameError: there is none, or no longer.
        """
        found = await self._read(replay_id)
        if found is None:
            known = [each.id for each in await self.last(5)]
            raise UnknownNameError("replay", replay_id, known)
        return found

    async def stop(self, replay_id: str, by: str) -> Replay:
        """Ask that a replay stops; it does at the next batch, or during its canary.

        Raises:
            UnknownNameError: there is no such replay.
            ConflictError: it has ended.
        """
        replay = await self.one(replay_id)
        if replay.state in ENDED:
            msg = f"replay {replay_id} has ended: {replay.state}"
            raise ConflictError(msg)
        await self._connection.command("HSET", keys.replay(replay_id), "stop", by[:200])
        await self._connection.command("PUBLISH", keys.FINISHED_CHANNEL, replay_id)
        return replay

    async def _read(self, replay_id: str) -> Replay | None:
        text = await self._connection.command("HGET", keys.replay(replay_id), "record")
        try:
            replay = Replay.model_validate(orjson.loads(text or ""))
        except (ValueError, ValidationError):
            return None
        is_old = datetime.now(UTC) - replay.updated > STALE
        replay.stale = replay.state not in ENDED and is_old
        return replay
