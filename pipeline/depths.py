"""How full the lists are, for `/metrics`: read when somebody asks."""

import asyncio

from core.errors import UnavailableError
from core.metrics import (
    DEAD_LETTERS,
    EGRESS_DEPTH,
    INGRESS_DEPTH,
    RUN_HISTORY_WAITING,
    SUSPECTS_DEPTH,
    VCONS_IN_FLIGHT,
)
from pipeline import keys
from pipeline.configuration import Configuration
from pipeline.connection import RedisConnection
from pipeline.lists import lists_of

PATIENCE = 1.0
"""Seconds that Redis gets; after that the page has no depths rather than old ones."""


class Depths:
    """Reads the length of every list of the configuration in one round trip."""

    def __init__(self, connection: RedisConnection, configuration: Configuration) -> None:
        """Redis is the same for all replicas, so each of them says the same."""
        self._connection = connection
        self._configuration = configuration

    async def look(self) -> None:
        """Set the gauges; without Redis they say nothing."""
        lists = lists_of(self._configuration.config)
        gauges = (
            (INGRESS_DEPTH, {name: name for name in lists.ingress}),
            (SUSPECTS_DEPTH, {keys.suspects(name): name for name in lists.ingress}),
            (EGRESS_DEPTH, {name: name for name in lists.handed_out}),
            (DEAD_LETTERS, {name: name for name in lists.dead}),
        )
        keys_read = [key for _, names in gauges for key in names]
        lengths: dict[str, float] = {}
        running = history = float("nan")
        try:
            async with asyncio.timeout(PATIENCE):
                running, history, *found = await asyncio.gather(
                    self._connection.command("HLEN", keys.LOCKS),
                    self._connection.command("LLEN", keys.HISTORY),
                    *(self._connection.command("LLEN", name) for name in keys_read),
                )
            lengths = dict(zip(keys_read, found, strict=True))
        except (UnavailableError, TimeoutError):
            pass
        VCONS_IN_FLIGHT.set(running)
        RUN_HISTORY_WAITING.set(history)
        for gauge, names in gauges:
            gauge.clear()
            for key, name in names.items() if lengths else ():
                gauge.labels(name).set(lengths[key])
