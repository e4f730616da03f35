"""How many vCons a worker runs at once: pools of slots, from the setting and the loaded chains.

With a number there is one pool: the process runs so many vCons at once, of all chains together,
and never more. With `auto` there are two, for two kinds of chains that do not limit each other:

- async: all plugins of the chain are async. A run that waits costs memory only, so there are many.
- sync: a plugin of the chain is sync, so each run may occupy a thread.

A pool of `auto` is soft: a list gets its share of the pool (`shares.py`) also while runs of other
lists occupy all of it. So slow runs of one list do not keep another one waiting.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import accumulate
from math import ceil
from typing import Literal

from pipeline.config.lists import claimed_lists
from pipeline.config.parser import Chain
from pipeline.live_config import Configuration
from pipeline.plugins.loader import Loaded, Plugins

ASYNC = 64
"""vCons that chains with async plugins only run at once with `auto`."""
THREADS = 32
"""vCons that chains with a sync plugin run at once with `auto`."""
MOST_SHOWN = 20
"""Chains that the log line of a start names."""
KEPT_FROM = 16
"""Slots from which on a hard pool keeps one for ingress lists of which no run is in progress."""

type Concurrency = int | Literal["auto"]
type Kind = Literal["async", "sync", "all"]


@dataclass(frozen=True, slots=True)
class Pool:
    """Slots that several lists share."""

    slots: int
    is_soft: bool = False
    """Whether a list may have its share of the slots beyond those that are free."""

    def at_most(self, weights: Iterable[int]) -> int:
        """The most runs at once of lists with these weights.

        In a soft pool each list may have filled its share before the next one begins.
        """
        if not self.is_soft:
            return self.slots
        ascending = sorted(weights)
        parts = [
            weight / total for weight, total in zip(ascending, accumulate(ascending), strict=True)
        ]
        return ceil(self.slots * sum(parts)) + max(len(ascending) - 1, 0)


@dataclass(frozen=True, slots=True)
class Place:
    """What the shares need to know about a list: its pool and its weight there."""

    kind: Kind
    weight: int


@dataclass(frozen=True, slots=True)
class Limits:
    """The pools of a worker, and the place of each list that it claims from."""

    pools: Mapping[Kind, Pool]
    places: Mapping[str, Place]

    def at_most(self, kind: Kind) -> int:
        """The most runs at once in a pool."""
        weights = [each.weight for each in self.places.values() if each.kind == kind]
        return self.pools[kind].at_most(weights) if kind in self.pools else 0

    @property
    def slots(self) -> int:
        """The runs at once of lists that are always full."""
        return sum(pool.slots for pool in self.pools.values())

    @property
    def at_once(self) -> int:
        """The most runs at once in this process."""
        return sum(self.at_most(kind) for kind in self.pools)

    @property
    def threads(self) -> int:
        """The most runs at once whose plugins may each occupy a thread."""
        return self.at_most("sync") + self.at_most("all")


def limits_of(concurrency: Concurrency, configuration: Configuration) -> Limits:
    """The limits of a worker that runs this configuration."""
    chains = configuration.config.enabled_chains
    if concurrency != "auto":
        return Limits({"all": Pool(concurrency)}, _places([(each, "all") for each in chains]))
    kinds: list[tuple[Chain, Kind]] = [
        (each, "sync" if sync_plugin(each, configuration.plugins) else "async") for each in chains
    ]
    pools: dict[Kind, Pool] = {
        "async": Pool(ASYNC, is_soft=True),
        "sync": Pool(THREADS, is_soft=True),
    }
    used = {kind for _, kind in kinds}
    return Limits({kind: pool for kind, pool in pools.items() if kind in used}, _places(kinds))


def _places(kinds: Iterable[tuple[Chain, Kind]]) -> dict[str, Place]:
    return {
        name: Place(kind, chain.weight) for chain, kind in kinds for name in claimed_lists(chain)
    }


def sync_plugin(chain: Chain, plugins: Plugins) -> str | None:
    """The name of the first plugin of a chain that occupies a thread; None if there is none.

    Plugins that this process has not loaded do not count.
    """
    used: list[Loaded | None] = [
        *(plugins.links.get(step.plugin) for step in chain.links),
        *(plugins.storages.get(spec) for spec in chain.storages),
        *(plugins.tracers.get(spec) for spec in chain.tracers),
    ]
    return next((each.name for each in used if each and not each.is_async), None)


def shown(configuration: Configuration) -> list[str]:
    """The enabled chains with their kinds and weights, for the log."""
    lines = []
    for chain in configuration.config.enabled_chains[:MOST_SHOWN]:
        plugin = sync_plugin(chain, configuration.plugins)
        kind = f"sync because of {plugin}" if plugin else "async"
        lines.append(f"{chain.name}: {kind}, weight {chain.weight}")
    more = len(configuration.config.enabled_chains) - len(lines)
    return lines + ([f"and {more} more"] if more else [])
