"""What happens to Redis: copies, FLUSHALL, older data, the promotion of a replica."""

from collections.abc import Iterator

from tests.model import postgres
from tests.model.rules import Rules
from tests.model.state import Data, Server, World, put, spend, with_data, with_ghost

type Moves = Iterator[tuple[str, World]]


def losses(world: World, rules: Rules) -> Moves:
    """Each loss that the budget still has."""
    server, budget = world.servers[0], world.budget
    if budget.copy:
        copied = put(world.servers, 0, server._replace(copy=server.data))
        made = with_ghost(spend(world, "copy")._replace(servers=copied), looked=False)
        yield "a copy of Redis is made", made
    if budget.flush:
        yield "FLUSHALL", _lost(with_data(spend(world, "flush"), 0, Data()), rules)
    if server.copy is not None:
        yield from _older(world, server, rules)


def _older(world: World, server: Server, rules: Rules) -> Moves:
    budget = world.budget
    newest = max(each.run_id for each in world.servers)
    if budget.restore:
        started = Server(newest + 1, server.copy or Data())
        after = spend(world, "restore")._replace(servers=put(world.servers, 0, started))
        yield f"the copy is restored, in server {newest + 1}", _lost(after, rules)
    if budget.rewind and world.ghost.looked:
        older = with_data(spend(world, "rewind"), 0, server.copy or Data())
        yield "the copy is restored in the running server", _lost(older, rules)
    if budget.promote and len(world.servers) == 1:
        promoted = (*world.servers, Server(newest + 1, server.copy or Data()))
        after = spend(world, "promote")._replace(servers=promoted, replicas=(0, 1))
        yield f"a replica that is behind is promoted: server {newest + 1}", _lost(after, rules)


def _lost(world: World, rules: Rules) -> World:
    """What is settled at a loss may not run again; what was in flight may."""
    ended = 14 if _deleted(world) else postgres.settled(world, rules)
    return with_ghost(world, fresh=14 & ~ended)


def _deleted(world: World) -> bool:
    return world.ghost.fresh == 0 and world.ghost.answered == 0


def retention(world: World, rules: Rules) -> Moves:
    """The partition of the latest row is dropped, once it is released."""
    rows = world.postgres.rows
    if world.budget.prune and rows and not rows[-1].open:
        rest = rows[:-1]
        if rules.retention_closes_void_rows:
            rest = tuple(
                row._replace(open=row.open and not postgres.is_void(world.postgres, row, rules))
                for row in rest
            )
        pruned = world.postgres._replace(rows=rest)
        yield "retention drops the latest row", spend(world, "prune")._replace(postgres=pruned)
