"""Telling of keys in Redis that have another type than this service keeps under their names.

Another program that uses such a name takes it from us: what needs the key waits until it is gone,
and everything else goes on. Each is told of once in the log, in `patchcord_unusable_keys`, in
`ListChains` and by `check`.
"""

import logging

from pipeline.configuration import Configuration
from pipeline.connection import RedisConnection
from pipeline.list_states import state_of
from pipeline.lists import lists_of

log = logging.getLogger(__name__)

UNUSABLE_SECONDS = 2.0
"""Seconds between two looks."""


class UnusableKeys:
    """Tells of each such key when it is first seen, and when it is gone."""

    def __init__(
        self, connection: RedisConnection, configuration: Configuration, sorted_set: str
    ) -> None:
        """`sorted_set`: the name of the one with all vCons."""
        self._connection = connection
        self._configuration = configuration
        self._sorted_set = sorted_set
        self._told: set[str] = set()

    async def look(self) -> None:
        """Log what has changed since the last look."""
        lists = lists_of(self._configuration.config).all
        unusable = (await state_of(self._connection, lists, self._sorted_set)).unusable
        for name in unusable.keys() - self._told:
            log.warning("key cannot be used", extra={"list": name, "error": unusable[name]})
        for name in self._told - unusable.keys():
            log.warning("key can be used again", extra={"list": name})
        self._told = set(unusable)
