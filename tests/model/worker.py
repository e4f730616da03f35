"""The workers: claim, run, release, settle; their deaths, and the rescue of what they held."""

from collections.abc import Iterator

from tests.model import postgres, redis
from tests.model.rules import Rules
from tests.model.state import (
    DEAD,
    Data,
    Ending,
    Worker,
    World,
    bit,
    permit,
    put,
    spend,
    with_data,
    with_ghost,
)

type Moves = Iterator[tuple[str, World]]


def workers(world: World, rules: Rules) -> Moves:
    """What each worker can do next."""
    for index, worker in enumerate(world.workers):
        name, at = f"worker {index + 1}", world.replicas[worker.replica]
        if worker.phase == "idle":
            yield from _claim(world, index, at, name, rules)
            continue
        yield from _go_on(world, index, at, name, rules)
        if world.budget.worker_crash:
            died = _excused(spend(world, "worker_crash"), worker)
            yield f"{name}: killed", _to(died, index, Worker(worker.replica))


def _to(world: World, index: int, worker: Worker) -> World:
    return world._replace(workers=put(world.workers, index, worker))


def _excused(world: World, worker: Worker) -> World:
    """A run whose worker died may be repeated: at least once."""
    assert worker.ending
    if not redis.holds(world.servers[world.replicas[worker.replica]].data, worker.ending):
        return world
    again = permit(worker.ending.content, worker.ending.place)
    return with_ghost(world, fresh=world.ghost.fresh | again)


def _claim(world: World, index: int, at: int, name: str, rules: Rules) -> Moves:
    server = world.servers[at]
    if not server.data.queue or server.data.flight or not redis.is_open(server, rules):
        return
    if (
        index
        and world.workers[index - 1].phase == "idle"
        and (world.workers[index - 1].replica == world.workers[index].replica)
    ):
        return  # idle workers are alike: the first one claims
    data, ending = redis.claim(server.data)
    world = with_data(world, at, data)
    ghost = world.ghost
    once = permit(ending.content, ending.place)
    fault = "" if ghost.fresh & once else f"content {ending.content} is run again"
    world = with_ghost(world, fresh=ghost.fresh & ~once, fault=ghost.fault or fault)
    claimed = _to(world, index, Worker(world.workers[index].replica, "claimed", ending))
    label = f"{name}: claims with token {ending.token}, rows {ending.refs}, begins content"
    yield f"{label} {ending.content}", claimed


def _go_on(world: World, index: int, at: int, name: str, rules: Rules) -> Moves:
    worker = world.workers[index]
    if worker.phase == "claimed":
        yield from _run(world, index, name, rules)
    elif worker.phase == "failed":
        held = redis.holds(world.servers[at].data, worker.ending)
        after = worker._replace(phase="ended") if held else Worker(worker.replica)
        yield f"{name}: claim still held: {held}", _to(world, index, after)
    elif worker.phase == "ended":
        yield from _end(world, index, at, name, rules)
    elif worker.phase == "released":
        if rules.storage_before_release:
            yield f"{name}: settle.lua", _settle(world, index, at, late=False)
        else:
            yield f"{name}: storages have it", _stored(world, index, "stored")
    elif worker.phase == "stored":
        yield f"{name}: settle.lua", _settle(world, index, at, late=False)
    elif worker.phase == "settled" and not _locked(world, worker.ending, rules):
        yield (
            f"{name}: release committed",
            _to(_release(world, worker.ending, rules), index, Worker(worker.replica)),
        )


def _run(world: World, index: int, name: str, rules: Rules) -> Moves:
    worker = world.workers[index]
    if not rules.storage_before_release:
        yield f"{name}: links are done", _to(world, index, worker._replace(phase="ended"))
    else:
        yield f"{name}: links are done, storages have it", _stored(world, index, "ended")
    if world.budget.failure:
        failed = worker._replace(phase="failed", ending=worker.ending._replace(failed=True))
        yield f"{name}: a link fails for good", _to(spend(world, "failure"), index, failed)


def _stored(world: World, index: int, phase: str) -> World:
    worker = world.workers[index]
    world = with_ghost(world, stored=world.ghost.stored | bit(worker.ending.content))
    return _to(world, index, worker._replace(phase=phase))


def _end(world: World, index: int, at: int, name: str, rules: Rules) -> Moves:
    """Release, then settle; without Postgres, settle and leave the release in pc:history."""
    worker = world.workers[index]
    if rules.generation_fences_release and worker.ending.generation < world.postgres.generation:
        yield from _asked_again(world, index, at, name)
        return
    if not rules.postgres_before_redis:
        yield f"{name}: settle.lua", _settle(world, index, at, late=False, then="settled")
        return
    if not _locked(world, worker.ending, rules):
        released = _release(world, worker.ending, rules)
        letter = _letter(released, worker.ending)
        yield (
            f"{name}: release committed",
            _to(released, index, worker._replace(phase="released", letter=letter)),
        )
    if world.budget.away:
        away = spend(world, "away")
        yield (
            f"{name}: Postgres away, settle.lua with pc:history",
            _settle(away, index, at, late=True),
        )


def _asked_again(world: World, index: int, at: int, name: str) -> Moves:
    """Redis was recovered since the claim was known to be held: is it still?

    While Redis is not opened yet, or is a superseded server, the worker waits.
    """
    worker, data = world.workers[index], world.servers[at].data
    if not redis.holds(data, worker.ending):
        yield f"{name}: lost with Redis", _to(world, index, Worker(worker.replica))
    elif data.generation == world.postgres.generation:
        ending = worker.ending._replace(generation=data.generation)
        held = _to(world, index, worker._replace(ending=ending))
        yield f"{name}: still held after a recovery", held


def _locked(world: World, ending: Ending, rules: Rules) -> bool:
    """Whether a slice of recovery has locked a row that the release would change."""
    rows = world.slice.rows if world.slice else ()
    return any(row.number in ending.refs for row in rows)


def _release(world: World, ending: Ending, rules: Rules) -> World:
    return world._replace(postgres=postgres.release(world.postgres, ending, rules))


def _letter(world: World, ending: Ending) -> int:
    """The number of the dead letter's row of a run."""
    rows = world.postgres.rows
    mine = [row.number for row in rows if row.place == DEAD and row.run == ending.run and row.open]
    return max(mine, default=0)


def _settle(world: World, index: int, at: int, late: bool, then: str = "idle") -> World:
    worker = world.workers[index]
    data = redis.settle(world.servers[at].data, worker.ending, worker.letter, late)
    after = Worker(worker.replica) if then == "idle" else worker._replace(phase=then)
    return _to(with_data(world, at, data), index, after)


def leases(world: World) -> Moves:
    """Redis ends leases that run out; a rescue returns what their workers held to its list."""
    for at, server in enumerate(world.servers):
        flight = server.data.flight
        if not flight:
            continue
        known = any(
            worker.ending and worker.ending.token == flight.token for worker in world.workers
        )
        if flight.expired or not known:
            yield (
                "rescue: back to the head of its list",
                with_data(world, at, redis.rescue(server.data)),
            )
        elif world.budget.lease:
            expired = server.data._replace(flight=flight._replace(expired=True))
            after = with_data(spend(world, "lease"), at, expired)
            worker = next(w for w in world.workers if w.ending and w.ending.token == flight.token)
            fresh = after.ghost.fresh | permit(worker.ending.content, worker.ending.place)
            yield "a worker is paused past its lease", with_ghost(after, fresh=fresh)


def outbox(world: World, rules: Rules) -> Moves:
    """pc:history: its first entry is written to Postgres, then removed."""
    for at in set(world.replicas):
        data: Data = world.servers[at].data
        recovery, server = world.postgres.recovery, world.servers[at].run_id
        if not data.history or server not in (world.postgres.server, recovery and recovery.server):
            continue
        after = postgres.release(world.postgres, data.history[0], rules)
        locked = _locked(world, data.history[0], rules)
        if after != world.postgres and not locked:
            yield "outbox: late release committed", world._replace(postgres=after)
        elif after == world.postgres:
            rest = data._replace(history=data.history[1:])
            yield "outbox: entry removed from pc:history", with_data(world, at, rest)
