"""Depths of the lists, read from Redis at each request of `/metrics`."""

import asyncio
import contextlib
import math
from collections.abc import Mapping

from core.concurrency.aio import LoopTimeout
from core.errors import UnavailableError, UnusableKeyError
from core.observability.metrics import (
    BROKEN_CHAINS,
    DEAD_LETTERS,
    DESTINATION_IN_FLIGHT,
    DESTINATION_OPEN,
    DESTINATION_WAITING,
    EGRESS_DEPTH,
    INGRESS_AGE,
    INGRESS_DEPTH,
    RUN_HISTORY_WAITING,
    SUSPECTS_DEPTH,
    UNUSABLE_KEYS,
    VCONS_IN_FLIGHT,
    VCONS_WITHHELD,
    show,
)
from pipeline.config.lists import lists_of
from pipeline.custody.queue_ages import queue_ages
from pipeline.destinations.states import State, states_of
from pipeline.live_config import Configuration
from pipeline.redis_client import keys
from pipeline.redis_client.client import RedisConnection
from pipeline.redis_client.list_states import ListState, RedisState, state_of

REDIS_SECONDS = 1.0
"""Default time limit of Redis; after it the page has no depths rather than old ones."""


class QueueDepths:
    """Reads the length of every list of the configuration in one round trip."""

    def __init__(
        self,
        connection: RedisConnection,
        configuration: Configuration,
        sorted_set: str = "vcons",
        seconds: float = REDIS_SECONDS,
    ) -> None:
        """All replicas report the same depths. `sorted_set`: the name of the index by time."""
        self._connection = connection
        self._configuration = configuration
        self._sorted_set = sorted_set
        self._seconds = seconds

    async def look(self) -> None:
        """Set the gauges; there is none without Redis, or for a key of another type."""
        lists = lists_of(self._configuration.config)
        chains = self._configuration.config.chains.values()
        show(BROKEN_CHAINS, {chain.name: 1 for chain in chains if chain.broken})
        state = RedisState({}, {})
        running = history = math.nan
        called: dict[str, State] = {}
        ages: dict[str, float] = {}
        destinations = list(self._configuration.config.destinations)
        with contextlib.suppress(UnavailableError, TimeoutError):
            async with LoopTimeout(self._seconds):
                state, running, history, called, ages = await asyncio.gather(
                    state_of(self._connection, lists.all, self._sorted_set),
                    self._number("HLEN", keys.LOCKS),
                    self._number("LLEN", keys.HISTORY),
                    states_of(self._connection, destinations),
                    queue_ages(self._connection, lists.ingress),
                )
        VCONS_IN_FLIGHT.set(running)
        RUN_HISTORY_WAITING.set(history)
        usable = {name: each for name, each in state.lists.items() if not each.error}
        show(INGRESS_DEPTH, {name: usable[name].depth for name in lists.ingress if name in usable})
        show(INGRESS_AGE, ages)
        suspects = {name: usable[name].suspects for name in lists.ingress if name in usable}
        show(SUSPECTS_DEPTH, suspects)
        show(EGRESS_DEPTH, {n: usable[n].depth for n in lists.handed_out if n in usable})
        show(DEAD_LETTERS, {name: usable[name].depth for name in lists.dead if name in usable})
        show(VCONS_WITHHELD, self._withheld(usable))
        show(UNUSABLE_KEYS, dict.fromkeys(state.unusable, 1))
        called = {name: each for name, each in called.items() if not each.unusable}
        show(DESTINATION_IN_FLIGHT, {name: each.in_flight for name, each in called.items()})
        show(DESTINATION_WAITING, {name: each.waiting for name, each in called.items()})
        show(DESTINATION_OPEN, {name: float(each.is_open) for name, each in called.items()})

    def _withheld(self, usable: Mapping[str, ListState]) -> dict[str, float]:
        """By ingress list; where there is no law, only of lists that have some."""
        config = self._configuration.config
        names = {name: keys.withheld(name) for name in lists_of(config).ingress}
        depths = {name: usable[key].depth for name, key in names.items() if key in usable}
        return {name: depth for name, depth in depths.items() if depth or config.law is not None}

    async def _number(self, command: str, key: str) -> float:
        try:
            return float(await self._connection.command(command, key))
        except UnusableKeyError:
            return math.nan
