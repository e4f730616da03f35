"""The lengths of lists, and the keys in Redis whose type this service cannot use."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain

from pipeline.redis_client import keys
from pipeline.redis_client.client import RedisConnection

PREFIX = "WRONGTYPE "


@dataclass(frozen=True, slots=True)
class ListState:
    """How many vCons are in a list, and how many of them among its suspects.

    `error`: why the list cannot be used, or "".
    """

    depth: int = 0
    suspects: int = 0
    error: str = ""


@dataclass(frozen=True, slots=True)
class RedisState:
    """The requested lists, and the errors of the keys that all chains share, by key."""

    lists: Mapping[str, ListState]
    shared: Mapping[str, str]

    @property
    def unusable(self) -> dict[str, str]:
        """The errors of all unusable lists and keys, by name."""
        lists = {name: state.error for name, state in self.lists.items() if state.error}
        return lists | dict(self.shared)


async def state_of(
    connection: RedisConnection, lists: Sequence[str], sorted_set: str
) -> RedisState:
    """The state of these lists and of the keys that all chains share, in one round trip.

    Raises:
        UnavailableError: Redis cannot be reached.
    """
    shared = keys.SHARED_TYPES | {sorted_set: "zset"}
    pairs = chain.from_iterable((kind, key) for key, kind in shared.items())
    found = await connection.script("depths", len(lists), *lists, *pairs)
    states = [ListState(depth, aside, _shown(error)) for depth, aside, error in found[: len(lists)]]
    errors = {key: _shown(error) for key, [error] in zip(shared, found[len(lists) :], strict=True)}
    return RedisState(
        dict(zip(lists, states, strict=True)),
        {key: error for key, error in errors.items() if error},
    )


def _shown(error: str) -> str:
    return error.removeprefix(PREFIX)
