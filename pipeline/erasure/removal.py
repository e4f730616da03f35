"""Taking the vCon of an erasure out of Redis, also while a run holds it."""

from collections.abc import Sequence
from datetime import UTC, datetime

from core.errors import ConflictError
from pipeline.admin.operations import PipelineOperations
from pipeline.config.model import PipelineConfig
from pipeline.redis_client import keys
from pipeline.redis_client.client import RedisConnection
from pipeline.runs.queues import Queues


class Removal:
    """Removes vCons from Redis, with their queue entries, dead letters and rows of custody."""

    def __init__(
        self, connection: RedisConnection, queues: Queues, operations: PipelineOperations
    ) -> None:
        self._connection = connection
        self._queues = queues
        self._operations = operations

    async def remove(self, vcon_uuid: str) -> bool:
        """Remove a vCon; False if a run holds it, which is cancelled: try again after its end.

        Raises:
            UnavailableError: Redis or Postgres cannot be reached.
            UnusableKeyError: another program has a key in its place.
            MediaAwayError: the store of its media does not answer; its document is removed.
        """
        try:
            await self._operations.remove(vcon_uuid, ())
        except ConflictError:
            await self.cancel(vcon_uuid)
            return False
        await self._operations.index.erase_media(vcon_uuid)
        return not await self._operations.index.present([vcon_uuid])

    async def time(self) -> datetime:
        """Redis' clock, by which notes for the index are ordered."""
        seconds, micros = await self._connection.command("TIME")
        return datetime.fromtimestamp(int(seconds) + int(micros) / 1e6, UTC)

    async def cancel(self, vcon_uuid: str) -> None:
        """End the run that holds a vCon before its next link."""
        worker = await self._connection.command("HGET", keys.LOCKS, vcon_uuid)
        name = str(worker).partition("\n")[0] if worker else ""
        held = name and await self._connection.command("HGET", keys.inflight(name), vcon_uuid)
        if held:
            run_id = held.split("\n")[1]
            await self._queues.cancel(run_id, datetime.now(UTC).isoformat())


def storages_of(
    storages: Sequence[str] | None, chains: Sequence[str], config: PipelineConfig
) -> list[str]:
    """Those that have a vCon by the index or by its chains; all if the index does not know it."""
    if storages is None:
        return list(config.storages)
    known = [config.chains[name] for name in chains if name in config.chains]
    by_chain = [storage.name for chain in known for storage in chain.storages]
    return list(dict.fromkeys([*storages, *by_chain]))
