"""The order in which a claim takes vCons from its lists. Pure functions.

Shares. The lists of a pool that have runs in progress or waiting elements share its slots in
proportion to their weights. A list below its share goes first. One that has its share takes what
the others leave over, so no slot stays free while an element waits.

Order. Among lists that are equal in this, each claim costs a list `1 / weight` of virtual time, and
the list that is least advanced goes first (start-time fair queueing). A list that had no elements
for a while begins at the present virtual time: it neither catches up nor waits.

The claim does not know which lists have elements before it reads them. So `turns` orders the turns
of all lists as if each had enough, and `claim.lua` goes through them and skips the lists that have
none: the order of the others is the same as without these.

Kept slots. A run cannot be interrupted, so a list that had no elements finds all slots occupied by
the runs of others, however slow. A soft pool gives it its share nevertheless. A hard pool keeps one
slot for ingress lists of which no run is in progress, if it has so many that this costs little.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import ceil

from pipeline.worker.slots.limits import KEPT_FROM, Kind, Pool

MOST_TURNS = 512
"""Turns in one claim, beyond one for each list."""


@dataclass(frozen=True, slots=True)
class Contender:
    """A list from which a claim may take."""

    name: str
    kind: Kind = "all"
    weight: int = 1
    running: int = 0
    """Its runs that need a slot."""
    is_waiting: bool = False
    """Whether it had elements after the last claim."""
    advanced: float = 0.0
    """Its virtual time."""
    is_open: bool = True
    """Whether a claim may take from it now."""
    is_requested: bool = False
    """Whether it is a chain's list of requested runs, for which no slot is kept."""

    @property
    def is_active(self) -> bool:
        """Whether it takes part in the sharing."""
        return self.is_waiting or self.running > 0


@dataclass(frozen=True, slots=True)
class Room:
    """What is left of a pool, and what its lists share."""

    pool: Pool
    free: int
    kept: int
    """One of the free slots, if it is for lists of which no run is in progress."""
    active: int
    """The weights of the lists that take part in the sharing."""

    def share_of(self, each: Contender) -> int:
        """The slots that a list may have while other lists wait; 1 at least."""
        weights = self.active if each.is_active else self.active + each.weight
        share = ceil(self.pool.slots * each.weight / weights)
        return min(share, self.pool.slots - self.kept)

    def below(self, each: Contender) -> int:
        """How many slots a list has less than its share."""
        return max(self.share_of(each) - each.running, 0)

    def may_take(self, *, beyond: bool) -> bool:
        """Whether there is a slot for a turn; `claim.lua` has the same rule, with what is left."""
        if beyond:
            return self.free > self.kept
        return self.pool.is_soft or self.free > 0


@dataclass(frozen=True, slots=True)
class Turn:
    """A list may take one element; `beyond` its share only if a slot is free and not kept."""

    name: str
    beyond: bool = False


def room_in(pool: Pool, contenders: Sequence[Contender]) -> Room:
    """What is left of a pool, of which these are the lists."""
    free = max(pool.slots - sum(each.running for each in contenders), 0)
    keeps = not pool.is_soft and pool.slots >= KEPT_FROM
    kept = keeps and any(not (each.running or each.is_requested) for each in contenders)
    active = sum(each.weight for each in contenders if each.is_active)
    return Room(pool, free, int(kept), active)


def rooms_in(pools: Mapping[Kind, Pool], contenders: Sequence[Contender]) -> dict[Kind, Room]:
    """What is left of each pool."""
    members: dict[Kind, list[Contender]] = {kind: [] for kind in pools}
    for each in contenders:
        members[each.kind].append(each)
    return {kind: room_in(pool, members[kind]) for kind, pool in pools.items()}


def turns(
    contenders: Sequence[Contender],
    rooms: Mapping[Kind, Room],
    want: int,
    now: Mapping[Kind, float],
) -> list[Turn]:
    """The turns of a claim of up to `want` elements, in order; those that can be used at all.

    `now`: the present virtual time of each pool. Lists that are equal in everything have their
    turns in the order given. If there are very many lists, those that were empty have one turn.
    """
    found: list[tuple[bool, float, int]] = []
    few = len(contenders) * want <= MOST_TURNS
    for at, each in enumerate(contenders):
        if not each.is_open:
            continue
        room = rooms[each.kind]
        below, start = room.below(each), max(each.advanced, now.get(each.kind, 0.0))
        for k in range(want if few or each.is_active else min(want, 1)):
            if not room.may_take(beyond=k >= below):
                break
            found.append((k >= below, start + k / each.weight, at))
    found.sort()
    return [Turn(contenders[at].name, beyond) for beyond, _, at in _cut(found)]


def _cut(found: list[tuple[bool, float, int]]) -> list[tuple[bool, float, int]]:
    """The first turns, and the first of each list that has none among them."""
    cut, rest = found[:MOST_TURNS], found[MOST_TURNS:]
    seen = {at for _, _, at in cut}
    for turn in rest:
        if turn[2] not in seen:
            seen.add(turn[2])
            cut.append(turn)
    return cut
