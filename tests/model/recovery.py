"""The watch of each replica, and recovery in slices: each slice is a transaction around one script.

A slice has three moves, so that a crash can come between any two: it reads in Postgres, runs its
script on Redis, and commits its cursor. An advisory lock lets one slice run at a time.
"""

from collections.abc import Iterator

from tests.model import postgres, redis
from tests.model.rules import Rules
from tests.model.state import (
    Data,
    Recovery,
    Server,
    Slice,
    World,
    bit,
    put,
    spend,
    with_data,
    with_ghost,
)

type Moves = Iterator[tuple[str, World]]

TAKE_OUT, APPROVE, OPEN, QUEUE = "take out", "approve", "open", "queue"


def is_approved(world: World, server: Server) -> bool:
    """What each look of the watch compares."""
    known, data = world.postgres, server.data
    return (
        known.server == server.run_id == data.server
        and known.generation == data.generation
        and data.tokens >= known.counter
    )


def watch(world: World, rules: Rules) -> Moves:
    """What each replica does about the server that it sees."""
    for replica, at in enumerate(world.replicas):
        server = world.servers[at]
        name = f"replica {replica + 1}"
        if is_approved(world, server):
            yield from _look(world, at, name, rules)
            continue
        seen = [a for a in world.replicas if a != at and _counts(world, world.servers[a])]
        other = seen[0] if seen else None
        newer = other is not None and world.servers[other].run_id > server.run_id
        if rules.superseded_is_fenced and newer:
            yield from _superseded(world, replica, other, name)
        if not _is_busy(world) and _may_begin(world, server, other):
            yield f"{name}: recovery of server {server.run_id} begins", _begin(world, at, rules)
        recovery = world.postgres.recovery
        if recovery and recovery.server == server.run_id:
            yield from _go_on(world, at, rules)


def _is_busy(world: World) -> bool:
    """Whether a slice is in progress on a server that is still there."""
    recovery = world.postgres.recovery
    there = recovery and any(server.run_id == recovery.server for server in world.servers)
    return world.slice is not None and bool(there)


def _counts(world: World, server: Server) -> bool:
    """Whether a server is the one of Postgres' row, or becomes it; its replica says so there."""
    recovery = world.postgres.recovery
    if recovery and recovery.server == server.run_id:
        return True
    return world.postgres.server == server.run_id == server.data.server


def _look(world: World, at: int, name: str, rules: Rules) -> Moves:
    """A look that finds nothing new: the counter is written down."""
    data = world.servers[at].data
    recovery = world.postgres.recovery
    if recovery and recovery.server == world.servers[at].run_id:
        yield from _go_on(world, at, rules)
    elif world.budget.look:
        tokens = data.tokens + (1 if rules.looks_raise_the_counter else 0)
        after = with_data(spend(world, "look"), at, data._replace(tokens=tokens))
        after = with_ghost(after, looked=True)
        after = after._replace(postgres=after.postgres._replace(counter=tokens))
        yield f"{name}: looks, pc:tokens {tokens} written down", after


def _superseded(world: World, replica: int, other: int | None, name: str) -> Moves:
    """Another replica sees the server that counts: fence this one, then turn to that one."""
    assert other is not None
    at = world.replicas[replica]
    data = world.servers[at].data
    if data.server == world.servers[at].run_id:
        fenced = with_data(world, at, data._replace(server=0))
        yield f"{name}: fences server {world.servers[at].run_id}", fenced
    else:
        turned = world._replace(replicas=put(world.replicas, replica, other))
        yield f"{name}: turns to server {world.servers[other].run_id}", turned


def _may_begin(world: World, server: Server, other: int | None) -> bool:
    """Whether a recovery of this server may begin: none is in progress, and no other server counts.

    `promote` in the budget stands for the five seconds in which the other replica was not seen.
    """
    recovery = world.postgres.recovery
    if recovery and recovery.server == server.run_id:
        return False
    promoted = server.data.server != server.run_id and server.data.server == world.postgres.server
    return other is None or promoted


def _begin(world: World, at: int, rules: Rules) -> World:
    """Mark the server, then write the recovery into Postgres."""
    known, server = world.postgres, world.servers[at]
    mark = known.marks + 1
    phase = TAKE_OUT if rules.take_out_before_approval else APPROVE
    begun = Recovery(server.run_id, phase, 0, mark)
    world = with_data(world, at, server.data._replace(mark=mark, server=0))
    return world._replace(slice=None, postgres=known._replace(recovery=begun, marks=mark))


def _go_on(world: World, at: int, rules: Rules) -> Moves:
    """The next move of the recovery."""
    recovery = world.postgres.recovery
    assert recovery
    if world.slice and world.budget.recovery_crash:
        crashed = spend(world, "recovery_crash")._replace(slice=None)
        yield "recovery: its replica is killed in a slice", crashed
    if not _is_same(world, at, recovery):
        again = world._replace(slice=None, postgres=world.postgres._replace(recovery=None))
        yield "recovery: Redis is another one than at its begin: once more", again
    elif recovery.phase == TAKE_OUT:
        yield from _take_out(world, at, recovery, rules)
    elif recovery.phase == APPROVE:
        yield from _approve(world, at, recovery, rules)
    elif recovery.phase == OPEN:
        yield from _open(world, at, recovery, rules)
    else:
        yield from _queue(world, at, recovery, rules)


def _is_same(world: World, at: int, recovery: Recovery) -> bool:
    """Whether Redis is the one on which this recovery began: part of each slice's script."""
    return world.servers[at].data.mark == recovery.mark


def _take_out(world: World, at: int, recovery: Recovery, rules: Rules) -> Moves:
    data, part = world.servers[at].data, world.slice
    if part is None:
        if not data.history:
            rows = world.postgres.rows
            refs = data.about.refs if data.about else ()
            closed = frozenset(n for _, n in refs if postgres.is_closed(world.postgres, n))
            yield "recovery: reads what is settled", world._replace(slice=Slice(rows, closed))
    elif not part.done:
        after = with_data(world, at, redis.take_out(data, part, world.postgres, rules))
        yield "recovery: takes out what is settled", after._replace(slice=part._replace(done=True))
    else:
        then = APPROVE if rules.take_out_before_approval else QUEUE
        yield "recovery: take-out committed", _phase(world, recovery, then)


def _phase(world: World, recovery: Recovery, phase: str) -> World:
    after = world.postgres._replace(recovery=recovery._replace(phase=phase))
    return world._replace(slice=None, postgres=after)


def _approve(world: World, at: int, recovery: Recovery, rules: Rules) -> Moves:
    """The next generation, in Postgres: rows that are committed from now on are not ours."""
    known, data = world.postgres, world.servers[at].data
    highest = max([known.counter, data.tokens, *(token for _, token in known.runs)])
    held = [worker.ending.token for worker in world.workers if worker.ending]
    known = known._replace(
        server=recovery.server,
        generation=known.generation + 1,
        counter=max([highest, *held]) + 1,
        recovery=recovery._replace(phase=OPEN, until=known.next_number - 1),
    )
    label = f"recovery: generation {known.generation} on server {recovery.server} committed"
    yield label, world._replace(postgres=known)


def _open(world: World, at: int, recovery: Recovery, rules: Rules) -> Moves:
    """`pc:epoch`: the gate opens."""
    data, known = world.servers[at].data, world.postgres
    if world.slice is None:
        opened = data._replace(
            server=recovery.server,
            generation=known.generation,
            tokens=max(data.tokens, known.counter),
        )
        after = with_data(world, at, opened)._replace(slice=Slice(done=True))
        yield f"recovery: opens server {recovery.server}, pc:tokens {opened.tokens}", after
    else:
        then = QUEUE if rules.take_out_before_approval else TAKE_OUT
        yield "recovery: opening committed", _phase(world, recovery, then)


def _queue(world: World, at: int, recovery: Recovery, rules: Rules) -> Moves:
    part, known = world.slice, world.postgres
    if part is None:
        rows = [row for row in postgres.due(known, rules) if row.number > recovery.cursor]
        if rules.later_rows_are_left:
            rows = [row for row in rows if row.number <= recovery.until]
        if not rows:
            yield "recovery: done", world._replace(postgres=known._replace(recovery=None))
        else:
            label = f"recovery: reads open row {rows[0].number}"
            yield label, world._replace(slice=Slice((rows[0],)))
    elif not part.done:
        data: Data = redis.queue_again(world.servers[at].data, part.rows[0], rules)
        queued = "unchanged" if data == world.servers[at].data else "queued again"
        after = with_data(world, at, data)._replace(slice=part._replace(done=True))
        if queued != "unchanged":
            after = with_ghost(after, replaced=6 & ~bit(part.rows[0].content))
        yield f"recovery: row {part.rows[0].number} {queued}", after
    else:
        moved = recovery._replace(cursor=part.rows[0].number)
        yield (
            "recovery: cursor committed",
            world._replace(slice=None, postgres=known._replace(recovery=moved)),
        )
