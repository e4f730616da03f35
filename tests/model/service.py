"""The callers, the service processes and the operator: accept, answer, replay, delete."""

from collections.abc import Iterator

from tests.model import postgres, redis
from tests.model.rules import Rules
from tests.model.state import (
    DEAD,
    LIST,
    RUN,
    Data,
    Operator,
    Row,
    World,
    bit,
    put,
    spend,
    with_data,
    with_ghost,
)

type Moves = Iterator[tuple[str, World]]


def requests(world: World, rules: Rules) -> Moves:
    """Each request: commit, script, answer; a crash leaves it unanswered."""
    for index, request in enumerate(world.requests):
        name = f"request {index + 1} (content {request.content})"
        first = "commit" if rules.commit_before_answer else "script"
        if request.phase == "idle":
            yield f"{name}: sent", _at(world, index, phase=first)
        elif request.phase == "lost":
            if world.budget.repeat:
                yield f"{name}: sent again", _at(spend(world, "repeat"), index, phase=first)
        elif request.phase not in ("answered", "refused"):
            yield from _handle(world, index, name, rules)
            if world.budget.service_crash:
                crashed = spend(world, "service_crash")
                left = world.ghost.left | set(request.numbers)
                crashed = with_ghost(crashed, left=left)
                kept = "answered" if request.phase == "late" else "lost"
                yield f"{name}: its service process is killed", _at(crashed, index, phase=kept)


def _handle(world: World, index: int, name: str, rules: Rules) -> Moves:
    request = world.requests[index]
    if request.phase == "commit":
        yield f"{name}: row {world.postgres.next_number} committed", _commit(world, index)
    elif request.phase == "script":
        yield from _script(world, index, name, rules)
    elif request.phase in ("drop", "refusing"):
        yield f"{name}: rows {request.numbers} dropped", _drop(world, index)
    elif request.phase == "answer":
        yield f"{name}: answered 2xx", _answer(world, index, rules)
    elif request.phase == "late":
        yield f"{name}: row {world.postgres.next_number} committed", _late_commit(world, index)


def _at(world: World, index: int, **changes: object) -> World:
    request = world.requests[index]._replace(**changes)  # type: ignore[arg-type]
    if request.phase in ("answered", "refused", "lost"):
        request = request._replace(numbers=(), generation=0)
    return world._replace(requests=put(world.requests, index, request))


def _commit(world: World, index: int) -> World:
    """The row, with the generation that Postgres has at this moment."""
    request = world.requests[index]
    numbers = (*request.numbers, world.postgres.next_number)
    after = postgres.insert(world.postgres, Row(0, LIST, request.content))
    about = world.servers[world.replicas[request.replica]].data.about
    world = world._replace(postgres=after)
    if not about or about.content != request.content:  # lost: another run of it is right
        world = with_ghost(world, fresh=world.ghost.fresh | bit(request.content))
    return _at(world, index, phase="script", numbers=numbers, generation=after.generation)


def _script(world: World, index: int, name: str, rules: Rules) -> Moves:
    request = world.requests[index]
    at = world.replicas[request.replica]
    server = world.servers[at]
    if rules.generation_is_compared and (
        server.data.server != server.run_id or server.data.generation < request.generation
    ):
        return  # it waits until the server that it sees is approved
    if not rules.commit_before_answer:
        request = request._replace(numbers=(99,), generation=server.data.generation)
    reply, after = redis.ingest(server.data, request, rules)
    result = with_data(world, at, after)
    if reply == "new":
        result = with_ghost(result, replaced=6 & ~bit(request.content))
        if not server.data.about:  # Redis was lost since the commit: another run of it is right
            result = with_ghost(result, fresh=result.ghost.fresh | bit(request.content))
    label = f"{name}: ingest script on server {server.run_id}: {reply}"
    yield label, _after_script(result, index, reply, after, rules)


def _after_script(world: World, index: int, reply: str, data: Data, rules: Rules) -> World:
    """What follows: rows of this request that Redis does not name are dropped before the answer."""
    request = world.requests[index]
    if reply in ("stale", "other generation"):
        return _at(world, index, phase="commit")
    if reply == "busy":
        return _at(world, index, phase="refusing")
    named = redis.refs_of(data, LIST) if rules.named_rows_are_kept or reply == "new" else ()
    rest = tuple(number for number in request.numbers if number not in named)
    return _at(world, index, phase="drop" if rest else "answer", numbers=rest)


def _drop(world: World, index: int) -> World:
    request = world.requests[index]
    phase = "refused" if request.phase == "refusing" else "answer"
    dropped = world._replace(postgres=postgres.drop(world.postgres, request.numbers))
    return _at(dropped, index, phase=phase, numbers=())


def _answer(world: World, index: int, rules: Rules) -> World:
    request = world.requests[index]
    answered = with_ghost(world, answered=world.ghost.answered | bit(request.content))
    return _at(answered, index, phase="answered" if rules.commit_before_answer else "late")


def _late_commit(world: World, index: int) -> World:
    """The broken order: the row comes after the answer."""
    content = world.requests[index].content
    inserted = postgres.insert(world.postgres, Row(0, LIST, content))
    return _at(world._replace(postgres=inserted), index, phase="answered")


def operator(world: World, rules: Rules) -> Moves:
    """A replay of the dead letter: one transaction, then the script; refused: undone."""
    who = world.operator
    at = world.replicas[0]
    data = world.servers[at].data
    if who.phase == "idle" and world.budget.replay and data.letter:
        yield (
            "replay: dead letter's row released, row of the new run committed",
            _begin(world, data),
        )
    elif who.phase == "script":
        yield from _replay(world, at, rules)
        if world.budget.service_crash:
            crashed = spend(world, "service_crash")
            yield "replay: its service process is killed", crashed._replace(operator=Operator())
    elif who.phase == "undo":
        yield "replay: refused, undone in Postgres", _undo(world)


def _begin(world: World, data: Data) -> World:
    known, number = world.postgres, world.postgres.next_number
    letters = tuple(row.number for row in known.rows if row.place == DEAD and row.open)
    rows = tuple(
        row._replace(open=False) if row.number in letters else row for row in world.postgres.rows
    )
    content = data.about.content if data.about else 0
    after = world.postgres._replace(rows=rows)
    after = postgres.insert(after, Row(0, RUN, content, run=100 + number))
    world = spend(world, "replay")._replace(postgres=after)
    world = with_ghost(world, fresh=world.ghost.fresh | 8)
    return world._replace(operator=Operator("script", letters, number, known.generation))


def _replay(world: World, at: int, rules: Rules) -> Moves:
    who, server = world.operator, world.servers[at]
    if rules.generation_is_compared and server.data.server != server.run_id:
        return  # it waits until the server is approved
    if rules.generation_is_compared and server.data.generation != who.generation:
        yield "replay: left to recovery", world._replace(operator=Operator())
    elif not redis.is_open(server, rules) or not server.data.letter or server.data.flight:
        yield "replay: refused by Redis", world._replace(operator=who._replace(phase="undo"))
    else:
        after = redis.replay(server.data, who.number, 100 + who.number)
        yield "replay: replay.lua", with_data(world, at, after)._replace(operator=Operator())


def _undo(world: World) -> World:
    who = world.operator
    after = postgres.drop(world.postgres, (who.number,))
    rows = tuple(
        row._replace(open=True) if row.number in who.letters else row for row in after.rows
    )
    return world._replace(postgres=after._replace(rows=rows), operator=Operator())


def deletion(world: World) -> Moves:
    """DeleteVcon of a vCon that is queued: out of Redis, then its rows released, as one move."""
    data = world.servers[world.replicas[0]].data
    if not world.budget.delete or data.flight or not data.about or world.operator.phase != "idle":
        return
    if world.slice and world.slice.rows:
        return  # its transaction waits for the rows
    if any(request.phase not in ("answered", "idle") for request in world.requests):
        return
    rows = tuple(row._replace(open=False) for row in world.postgres.rows)
    gone = data._replace(about=None, queue=(), letter=0)
    after = with_data(spend(world, "delete"), world.replicas[0], gone)
    after = after._replace(postgres=world.postgres._replace(rows=rows))
    yield "DeleteVcon: deleted in Redis, rows released", with_ghost(after, answered=0, fresh=0)
