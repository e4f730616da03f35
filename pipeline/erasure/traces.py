"""What is kept of a vCon beside its document and its copies in storages.

| place | what an erasure does there |
|---|---|
| `chain_runs` | texts of errors become their types |
| `failure_causes` | message, example and error are removed where a run of the vCon failed so |
| `pc:run:` | removed: a checkpoint has the texts of errors, too |
| `law_salts` | the salt is forgotten, so that no commitment can be compared with a document |
| `law_bases` | grants for a party lose the hash of its number or address; denials keep it |

Queue entries, dead letters with their causes, search keys, media and rows of custody go with the
document (`pipeline/admin/operations.py`), the terms of `vcon_index` with the last copy. Logs, spans
and the last errors of destinations have no text of an error (`core/observability/error_texts.py`).
"""

from collections.abc import Sequence

from core.concurrency.thread_pool import BoundedCalls
from core.db.law.traces import LawTraces
from pipeline.redis_client import keys
from pipeline.redis_client.client import RedisConnection
from pipeline.stored.index import StoredIndex


async def forget_errors(redis: RedisConnection, index: StoredIndex, uuids: Sequence[str]) -> None:
    """Remove texts of errors that runs of these vCons left. Repeat it after the last run has ended.

    Raises:
        UnavailableError: Postgres or Redis cannot be reached.
    """
    for run_id in await index.scrub_runs(uuids):
        await redis.command("DEL", keys.run(run_id))


class Traces:
    """Forgets traces. Every method may be repeated and raises `UnavailableError`."""

    def __init__(
        self, redis: RedisConnection, index: StoredIndex, rows: LawTraces, calls: BoundedCalls
    ) -> None:
        """`calls` carries the calls of `rows`."""
        self._redis = redis
        self._index = index
        self._rows = rows
        self._calls = calls

    async def forget(self, vcon_uuids: Sequence[str]) -> None:
        """Forget all traces of vCons that Redis has no longer and no run holds."""
        await forget_errors(self._redis, self._index, vcon_uuids)
        await self._calls(self._rows.forget_salts, vcon_uuids)

    async def forget_party(self, terms: Sequence[str]) -> None:
        """Forget whose recorded grants these are; `terms`: every hash of the party's value."""
        await self._calls(self._rows.forget_party, terms)
