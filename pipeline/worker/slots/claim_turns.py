"""The turns of the next claim, from the runs in progress and what earlier claims have found."""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from pipeline.redis_client import keys
from pipeline.runs.turns import Turns, in_turn
from pipeline.worker.slots.limits import THREADS, Kind, Limits, Pool
from pipeline.worker.slots.pressure import FIRST, adapted
from pipeline.worker.slots.shares import Contender, Room, rooms_in, turns

CLAIMED_AT_ONCE = 16
"""vCons in one claim at most: in larger ones, runs that take equally long would end together."""


@dataclass(frozen=True, slots=True)
class NextClaim:
    """What to claim: `want` elements of `lists`, in the order of `turns`.

    `usable`: the lists that have a turn. From the others nothing can be claimed now.
    """

    want: int
    lists: list[str]
    turns: Turns
    usable: frozenset[str]


class ClaimTurns:
    """Decides the turns of the claims of one worker."""

    def __init__(self) -> None:
        """There are no lists before `adopt`."""
        self.limits = Limits({}, {})
        self.sync_slots = FIRST
        """The slots of sync chains at present, see `pressure.py`."""
        self.waiting: frozenset[str] = frozenset()
        """The lists that had elements after the last claim."""
        self._rotation = 0
        self._now: dict[Kind, float] = {}
        self._advanced: dict[str, float] = {}

    def adopt(self, limits: Limits) -> None:
        """Take the limits of the current configuration."""
        self.limits = limits
        self._advanced = {name: at for name, at in self._advanced.items() if name in limits.places}

    def all_in_turn(self, want: int) -> NextClaim:
        """A claim of one element from each list in turn, each time beginning with the next list."""
        lists = self._rotated()
        return NextClaim(want, lists, in_turn(len(lists), want), frozenset(lists))

    def next(
        self,
        working: Mapping[str, int],
        settling: Mapping[str, int],
        closed: Collection[str] = (),
    ) -> NextClaim:
        """The next claim.

        `working`: the runs of each list that need a slot; `settling`: those that need none any
        more. `closed`: lists from which nothing is to be claimed now.
        """
        contenders = self._contenders(working, {*closed, *self._piling_up(settling)})
        rooms = rooms_in(self._pools, contenders)
        want = min(_most(contenders, rooms), CLAIMED_AT_ONCE)
        found = turns(contenders, rooms, want, self._now)
        places = {each.name: at for at, each in enumerate(contenders, start=1)}
        order = [-places[turn.name] if turn.beyond else places[turn.name] for turn in found]
        pools = [
            (room.free, room.kept, room.pool.is_soft, _places_of(kind, contenders))
            for kind, room in rooms.items()
        ]
        usable = frozenset(turn.name for turn in found)
        return NextClaim(want, list(places), Turns(order, pools), usable)

    @property
    def _pools(self) -> Mapping[Kind, Pool]:
        """The pools with their present slots."""
        if "sync" not in self.limits.pools:
            return self.limits.pools
        return {**self.limits.pools, "sync": Pool(self.sync_slots, is_soft=True)}

    def adapt(self, working: Mapping[str, int], busy: float) -> bool:
        """Have fewer or more sync runs at once; True if it is more. `busy`: see `pressure.py`.

        `working`: the runs of each list that need a slot.
        """
        before, places = self.sync_slots, self.limits.places
        used = sum(working.get(name, 0) for name in places if places[name].kind == "sync")
        self.sync_slots = adapted(before, used, THREADS, busy)
        return self.sync_slots > before

    def _contenders(self, working: Mapping[str, int], closed: Collection[str]) -> list[Contender]:
        return [
            Contender(
                name,
                (place := self.limits.places[name]).kind,
                place.weight,
                working.get(name, 0),
                name in self.waiting,
                self._advanced.get(name, 0.0),
                is_open=name not in closed,
                is_requested=name.startswith(keys.RUN_LIST),
            )
            for name in self._rotated()
        ]

    def _rotated(self) -> list[str]:
        """All lists, each time beginning with the next one."""
        names = list(self.limits.places)
        self._rotation = (self._rotation + 1) % max(len(names), 1)
        return names[self._rotation :] + names[: self._rotation]

    def _piling_up(self, settling: Mapping[str, int]) -> Iterable[str]:
        """The lists of pools of which as many runs are being settled as there are slots."""
        for kind, pool in self.limits.pools.items():
            names = [name for name, place in self.limits.places.items() if place.kind == kind]
            if sum(settling.get(name, 0) for name in names) > pool.slots:
                yield from names

    def claimed(self, lists: Iterable[str], further: Iterable[str]) -> None:
        """Note the reply to a claim: the list of each element, and those that have further ones."""
        self.waiting = frozenset(further)
        for name in lists:
            if place := self.limits.places.get(name):
                now = max(self._advanced.get(name, 0.0), self._now.get(place.kind, 0.0))
                self._now[place.kind] = now
                self._advanced[name] = now + 1 / place.weight


def _places_of(kind: Kind, contenders: list[Contender]) -> list[int]:
    """The positions, from 1, of the lists of a pool."""
    return [at for at, each in enumerate(contenders, start=1) if each.kind == kind]


def _most(contenders: list[Contender], rooms: Mapping[Kind, Room]) -> int:
    """An upper limit of what can be claimed now."""
    soft = {kind: room for kind, room in rooms.items() if room.pool.is_soft}
    below = Counter[Kind]()
    for each in contenders:
        if each.kind in soft:
            below[each.kind] += soft[each.kind].below(each)
    return sum(max(room.free, below[kind]) for kind, room in rooms.items())
