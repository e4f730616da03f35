"""Breadth-first search over all interleavings, and what must hold in each state.

A fault is found by its shortest trace, since states are visited in the order of their distance.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from tests.model import faults, postgres, recovery, redis, service, worker
from tests.model.rules import Rules
from tests.model.state import RUN, Data, World, bit

type Before = dict[World, tuple[World, str] | None]
"""Each state that was visited, with the one before it and the move between them."""


@dataclass(frozen=True, slots=True)
class Scenario:
    """Where a search begins. `repeats`: whether a repeated run is a fault."""

    name: str
    world: World
    repeats: bool = True


@dataclass(frozen=True, slots=True)
class Found:
    """The result: how many states there are, and the first fault with the moves that lead to it."""

    states: int
    quiet: int
    fault: str = ""
    trace: tuple[str, ...] = ()


def moves(world: World, rules: Rules) -> Iterator[tuple[str, World]]:
    """What can happen next, without faults of Redis."""
    yield from service.requests(world, rules)
    yield from service.operator(world, rules)
    yield from worker.workers(world, rules)
    yield from worker.leases(world)
    yield from worker.outbox(world, rules)
    yield from recovery.watch(world, rules)


def interventions(world: World, rules: Rules) -> Iterator[tuple[str, World]]:
    """What happens from outside."""
    yield from faults.losses(world, rules)
    yield from faults.retention(world, rules)
    yield from service.deletion(world)


def search(scenario: Scenario, rules: Rules) -> Found:
    """Visit every state; stop at the first fault."""
    before: Before = {scenario.world: None}
    level, quiet = [scenario.world], 0
    while level:
        following: list[World] = []
        for world in level:
            fault = world.ghost.fault if scenario.repeats else ""
            going = _visit(world, moves(world, rules), before, following)
            _visit(world, interventions(world, rules), before, following)
            if not going:
                quiet += 1
                fault = fault or at_rest(world, rules)
            if fault:
                return Found(len(before), quiet, fault, _trace(before, world))
        level = following
    return Found(len(before), quiet)


def _visit(
    world: World,
    successors: Iterator[tuple[str, World]],
    before: Before,
    following: list[World],
) -> bool:
    """Note the successors that are new; whether there are any, new or not."""
    there_are = False
    for label, after in successors:
        there_are = True
        if after not in before:
            before[after] = (world, label)
            following.append(after)
    return there_are


def _trace(before: Before, world: World) -> tuple[str, ...]:
    labels = []
    step = before[world]
    while step:
        world, label = step
        labels.append(label)
        step = before[world]
    return tuple(reversed(labels))


def at_rest(world: World, rules: Rules) -> str:
    """What is wrong in a state in which no actor has anything left to do; "" if nothing is."""
    current = [s for s in world.servers if recovery.is_approved(world, s)]
    if not current or world.postgres.recovery:
        return "the gate stays closed, or recovery does not end"
    if any(request.phase in ("commit", "script") for request in world.requests):
        return "a request is never answered"
    data = current[0].data
    if data.queue or data.flight or data.history:
        return "queued, and never run"
    return _lost(world, data) or _left_open(world, data, rules)


def _lost(world: World, data: Data) -> str:
    """Content that was answered, is not replaced, and is neither stored nor a dead letter."""
    for content in (1, 2):
        answered = world.ghost.answered & ~world.ghost.replaced & bit(content)
        if answered and not world.ghost.stored & bit(content) and not data.letter:
            return f"content {content} was answered and is lost"
    return ""


def _left_open(world: World, data: Data, rules: Rules) -> str:
    """An open row that Redis does not know, of an answered request."""
    for row in postgres.due(world.postgres, rules):
        unanswered = row.number in world.ghost.left or (row.place == RUN and data.letter)
        answered = world.ghost.answered & bit(row.content) and not unanswered
        if answered and not redis.knows(data, row, rules):
            return f"row {row.number} stays open, and would run again after the next loss"
    return ""
