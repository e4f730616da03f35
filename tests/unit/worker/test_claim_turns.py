"""Whose turn it is: shares by weight, no free slot beside waiting elements, no list left out."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from itertools import cycle, islice

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.worker.slots.claim_turns import ClaimTurns
from pipeline.worker.slots.limits import Limits, Place, Pool
from pipeline.worker.slots.pressure import FIRST
from pipeline.worker.slots.shares import MOST_TURNS, Contender, rooms_in, turns

PLENTY = 10_000
EIGHT = Pool(8)
weights = st.lists(st.integers(1, 100), min_size=1, max_size=6)


@dataclass
class Lists:
    """Lists with elements, and one worker that claims them by the rule of `claim.lua`."""

    limits: Limits
    left: Counter[str] = field(default_factory=Counter)
    working: Counter[str] = field(default_factory=Counter)
    claimed: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._turns = ClaimTurns()
        self._turns.adopt(self.limits)

    def claim(self) -> list[str]:
        """One claim; the list of each element."""
        following = self._turns.next(self.working, {})
        shared: dict[int, list[int]] = {}
        for free, kept, is_soft, members in following.turns.pools:
            pool = [free, kept, is_soft]
            shared |= dict.fromkeys(members, pool)
        found: list[str] = []
        for turn in following.turns.order:
            name, pool = following.lists[abs(turn) - 1], shared[abs(turn)]
            may = pool[0] > pool[1] if turn < 0 else pool[2] or pool[0] > 0
            if may and self.left[name] and len(found) < following.want:
                self.left[name] -= 1
                pool[0] -= 1
                found.append(name)
        self.working.update(found)
        self.claimed += found
        self._turns.claimed(found, [name for name, count in self.left.items() if count])
        return found

    def fill(self) -> None:
        """Claim until a claim finds nothing."""
        while self.claim():
            pass

    def end(self, name: str) -> None:
        """A run of this list has ended."""
        self.working[name] -= 1


def lists(*given: int, pool: Pool = EIGHT, full: bool = True) -> Lists:
    """Lists a, b, c... with these weights in one pool; each has plenty of elements if `full`."""
    names = "abcdef"[: len(given)]
    places = {name: Place("all", weight) for name, weight in zip(names, given, strict=True)}
    left = Counter(dict.fromkeys(names, PLENTY if full else 0))
    return Lists(Limits({"all": pool}, places), left)


def test_slots_are_shared_by_weight() -> None:
    """Three of four slots for the list of weight 3."""
    both = lists(3, 1)
    both.fill()
    assert both.working == {"a": 6, "b": 2}


def test_one_slot_is_shared_by_weight_over_time() -> None:
    """With one slot, three of four claims; no list waits for longer than that."""
    both = lists(3, 1, pool=Pool(1))
    for _ in range(40):
        [name] = both.claim()
        both.end(name)
    assert Counter(both.claimed) == {"a": 30, "b": 10}
    assert all("b" in both.claimed[at : at + 5] for at in range(35))


@settings(max_examples=25)
@given(given=weights, slots=st.integers(1, 20), is_soft=st.booleans())
def test_the_shares_of_full_lists_are_those_of_their_weights(
    given: list[int], slots: int, is_soft: bool
) -> None:
    """When the runs of all have ended several times: each has its share, but for the rounding."""
    world = lists(*given, pool=Pool(slots, is_soft=is_soft))
    world.fill()
    for name in list(islice(cycle(world.limits.places), 2 * slots * len(given))):
        if world.working[name]:
            world.end(name)
            world.fill()
    total = sum(given)
    for name, place in world.limits.places.items():
        share = slots * place.weight / total
        if not is_soft and slots >= 2 * total:
            assert abs(world.working[name] - share) <= 1 + len(given)
        assert world.working[name] <= max(share + len(given), 1) + 1


@settings(max_examples=25)
@given(given=weights, slots=st.integers(1, 20), rounds=st.integers(1, 30))
def test_a_hard_pool_is_full_and_never_more_while_elements_wait(
    given: list[int], slots: int, rounds: int
) -> None:
    """Work-conserving, for any weights and any order of the ends of runs."""
    world = lists(*given, pool=Pool(slots))
    for at in range(rounds):
        world.fill()
        assert sum(world.working.values()) == slots
        running = sorted(world.working.elements())
        world.end(running[at * 7 % len(running)])


@settings(max_examples=25)
@given(given=weights, slots=st.integers(1, 20), active=st.data())
def test_a_list_alone_uses_the_shares_of_idle_ones(
    given: list[int], slots: int, active: st.DataObject
) -> None:
    """All slots, but for the one that a larger pool keeps for a list that begins."""
    world = lists(*given, pool=Pool(slots), full=False)
    name = active.draw(st.sampled_from(sorted(world.limits.places)))
    world.left[name] = PLENTY
    world.fill()
    kept = 1 if slots >= 16 and len(given) > 1 else 0
    assert world.working == Counter({name: slots - kept})


@pytest.mark.parametrize(("slots", "found"), [(8, []), (16, ["b"]), (64, ["b"])])
def test_a_larger_hard_pool_keeps_a_slot_for_a_list_that_begins(
    slots: int, found: list[str]
) -> None:
    """While slow runs of another list occupy all others."""
    world = lists(1, 1, pool=Pool(slots), full=False)
    world.left["a"] = PLENTY
    world.fill()
    world.left["b"] = PLENTY
    assert world.claim() == found


def test_a_list_gets_its_share_of_a_soft_pool_beside_slow_runs() -> None:
    """At once, though no run of the other list ends; and the other begins no further ones."""
    world = lists(1, 1, pool=Pool(8, is_soft=True), full=False)
    world.left["a"] = PLENTY
    world.fill()
    world.left["b"] = PLENTY
    world.fill()
    assert world.working == {"a": 8, "b": 4}
    for _ in range(4):
        world.end("a")
        world.fill()
    assert world.working == {"a": 4, "b": 4}
    world.end("a")
    world.fill()
    assert world.working == {"a": 4, "b": 4}


@settings(max_examples=25)
@given(given=weights, slots=st.integers(1, 20), order=st.randoms())
def test_a_soft_pool_has_an_end(given: list[int], slots: int, order: object) -> None:
    """At most `at_most` runs, in any order of the lists."""
    world = lists(*given, pool=Pool(slots, is_soft=True), full=False)
    names = sorted(world.limits.places)
    order.shuffle(names)  # type: ignore[attr-defined]  # a Random
    for name in names:
        world.left[name] = PLENTY
        world.fill()
    assert sum(world.working.values()) <= world.limits.at_once


def test_kinds_do_not_limit_each_other() -> None:
    """A full pool of one kind leaves the other as it is."""
    places = {"a": Place("async", 1), "b": Place("sync", 1)}
    pools = {"async": Pool(6, is_soft=True), "sync": Pool(FIRST, is_soft=True)}
    world = Lists(Limits(pools, places), Counter(a=PLENTY))  # type: ignore[arg-type]
    world.fill()
    assert world.working == {"a": 6}
    world.left["b"] = PLENTY
    world.fill()
    assert world.working == {"a": 6, "b": FIRST}


def test_a_list_that_was_idle_does_not_catch_up() -> None:
    """It has its half of the claims from now on, not all that it has not used."""
    world = lists(1, 1, pool=Pool(1), full=False)
    world.left["a"] = PLENTY
    for _ in range(100):
        world.end(*world.claim())
    world.left["b"] = PLENTY
    for _ in range(20):
        world.end(*world.claim())
    assert Counter(world.claimed[100:]) == {"a": 10, "b": 10}


@pytest.mark.parametrize("count", [1, 2, 33, 1000])
@pytest.mark.parametrize("want", [1, 16])
@pytest.mark.parametrize("is_waiting", [True, False])
def test_every_list_has_a_turn(count: int, want: int, is_waiting: bool) -> None:
    """However many there are, in a bounded number of turns."""
    all_lists = [
        Contender(f"list {n}", weight=1 + n % 100, is_waiting=is_waiting) for n in range(count)
    ]
    found = turns(all_lists, rooms_in({"all": Pool(want)}, all_lists), want, {})
    assert {turn.name for turn in found} == {each.name for each in all_lists}
    assert len(found) <= MOST_TURNS + count


def test_a_closed_list_has_no_turn_and_its_runs_count() -> None:
    """As one of which runs wait for the bytes of others."""
    world = ClaimTurns()
    world.adopt(Limits({"all": Pool(4)}, {"a": Place("all", 1), "b": Place("all", 1)}))
    following = world.next({"a": 3}, {}, {"a"})
    assert following.usable == {"b"}
    assert following.want == 1


def test_settlements_do_not_pile_up() -> None:
    """Nothing is claimed while more runs are being settled than there are slots."""
    world = ClaimTurns()
    world.adopt(Limits({"all": Pool(4)}, {"a": Place("all", 1)}))
    assert world.next({}, {"a": 4}).usable == {"a"}
    assert world.next({}, {"a": 5}).usable == set()
