"""Removes pauses and drains that have ended, or whose chain or replica is gone.

A pause is kept while its chain is missing for some hours, such as during a rolling upgrade or after
a mistake in the configuration. Each replica notes in the pauses of its own chains that they are
known; a pause that no replica has noted for a day is removed.
"""

import logging
from collections.abc import Container

import orjson

from pipeline.live_config import Configuration
from pipeline.operator.entries import Entries, Entry
from pipeline.operator.replicas import ReplicaReader
from pipeline.redis_client import keys
from pipeline.redis_client.client import RedisConnection
from pipeline.redis_client.periodic import skip_unusable

log = logging.getLogger(__name__)

KEEP_SECONDS = 60.0
"""Seconds between two rounds."""
NOTED_EVERY = 600_000
"""ms between two notes in an entry that its chain or replica is known."""
CHAIN_KEPT = 86_400_000
"""ms after which the pause of an unknown chain is removed."""
REPLICA_KEPT = 3_600_000
"""ms after which the drain of an ended replica is removed."""


def tended(entry: Entry, now: int, kept: int, *, known: bool) -> str:
    """The text that the entry shall have; empty to remove it.

    `known`: whether there is a chain or replica of its name. All times in ms.
    """
    if not entry.is_in_force(now):
        return ""
    seen = entry.number("seen")
    age = None if seen is None or seen > now else now - seen
    if age is None or (known and age > NOTED_EVERY):
        return orjson.dumps({**entry.fields, "seen": now}).decode()
    return "" if not known and age > kept else entry.text


class PauseKeeper:
    """Tends the entries of both keys; every replica does, at the same time or not."""

    def __init__(self, connection: RedisConnection, configuration: Configuration) -> None:
        self._configuration = configuration
        self._paused = Entries(connection, keys.PAUSED)
        self._drained = Entries(connection, keys.DRAINED)
        self._replicas = ReplicaReader(connection, configuration)

    async def round(self) -> None:
        """Tend all entries once.

        Raises:
            UnavailableError: Redis cannot be reached.
        """
        await skip_unusable(self._tend_pauses)
        await skip_unusable(self._tend_drains)

    async def _tend_pauses(self) -> None:
        chains = self._configuration.config.chains
        for name, entry in await self._tend(self._paused, chains, CHAIN_KEPT):
            if entry.is_in_force(await self._paused.now()):
                log.warning("pause of an unknown chain removed", extra={"chain": name})
            else:
                log.info("pause ended", extra={"chain": name})

    async def _tend_drains(self) -> None:
        await self._tend(self._drained, await self._replicas.ids(), REPLICA_KEPT)

    async def _tend(
        self, entries: Entries, known: Container[str], kept: int
    ) -> list[tuple[str, Entry]]:
        """Write what has changed; returns the entries that were removed."""
        removed, now = [], await entries.now()
        for name, entry in (await entries.all()).items():
            text = tended(entry, now, kept, known=name in known)
            if text != entry.text and await entries.replace(name, entry.text, text) and not text:
                removed.append((name, entry))
        return removed
