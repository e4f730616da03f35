"""The world of the model: immutable values, and what each of Redis' scripts does to them.

One vCon, with up to two contents (1 and 2), is accepted for one ingress list. A place is where it
can be queued: "list", "run" (the run list of a replay) or "dead" (the dead-letter list). A number
names a row of custody; the numbers grow in the order in which the rows were inserted.
"""

from typing import NamedTuple

LIST, RUN, DEAD = "list", "run", "dead"


class Row(NamedTuple):
    """A row of `custody`. `run` wrote it (a dead letter), or closed it; so did `token`."""

    number: int
    place: str
    content: int
    open: bool = True
    token: int = 0
    run: int = 0


class Recovery(NamedTuple):
    """`redis_identity.recovery`: the server it is for, its phase, the last row it has queued.

    Rows after `until` were committed for the approved server: their own scripts queue them.
    """

    server: int
    phase: str
    cursor: int = 0
    mark: int = 0
    until: int = 0


class Postgres(NamedTuple):
    """`custody`, `chain_runs` (run -> token of its release) and `redis_identity`."""

    rows: tuple[Row, ...] = ()
    next_number: int = 1
    runs: tuple[tuple[int, int], ...] = ()
    server: int = 1
    generation: int = 1
    counter: int = 0
    recovery: Recovery | None = None
    marks: int = 0


class About(NamedTuple):
    """`pc:about`: the content, the row whose document Redis has, the rows that Redis knows."""

    content: int
    version: int
    refs: tuple[tuple[str, int], ...]
    listed: bool = True


class Element(NamedTuple):
    """An element of a list. `run` is 0 until an attempt of it has begun."""

    place: str
    run: int = 0


class Flight(NamedTuple):
    """The entry of `pc:inflight:{worker}`. `expired`: the worker's lease has run out."""

    token: int
    run: int
    place: str
    expired: bool = False


class Ending(NamedTuple):
    """How a run ended: what `release` writes. It waits in `pc:history` if Postgres was away."""

    token: int
    run: int
    place: str
    refs: tuple[int, ...]
    content: int
    failed: bool
    generation: int = 0


class Data(NamedTuple):
    """What one Redis holds. `server` and `generation` are `pc:epoch`; `letter` is a dead letter's
    run, 0 without one; `mark` is left by a recovery that has begun.
    """

    server: int = 0
    generation: int = 0
    mark: int = 0
    tokens: int = 0
    queue: tuple[Element, ...] = ()
    flight: Flight | None = None
    about: About | None = None
    history: tuple[Ending, ...] = ()
    letter: int = 0


class Server(NamedTuple):
    """A Redis server: its run_id, its data, and a copy (a file, or a replica that is behind)."""

    run_id: int
    data: Data
    copy: Data | None = None


class Request(NamedTuple):
    """One request and the service process that handles it."""

    content: int
    replica: int = 0
    phase: str = "idle"
    numbers: tuple[int, ...] = ()
    generation: int = 0


class Worker(NamedTuple):
    """A worker process; `ending` is the claim it holds."""

    replica: int = 0
    phase: str = "idle"
    ending: Ending | None = None
    letter: int = 0


class Slice(NamedTuple):
    """A transaction of recovery in progress: what it has read, and whether its script has run."""

    rows: tuple[Row, ...] = ()
    closed: frozenset[int] = frozenset()
    done: bool = False


class Operator(NamedTuple):
    """A replay in progress."""

    phase: str = "idle"
    letters: tuple[int, ...] = ()
    number: int = 0
    generation: int = 0


class Budget(NamedTuple):
    """How often each fault may still happen."""

    service_crash: int = 0
    repeat: int = 0
    worker_crash: int = 0
    lease: int = 0
    failure: int = 0
    away: int = 0
    recovery_crash: int = 0
    copy: int = 0
    flush: int = 0
    restore: int = 0
    rewind: int = 0
    promote: int = 0
    replay: int = 0
    delete: int = 0
    look: int = 0
    prune: int = 0


class Ghost(NamedTuple):
    """What is true of the world outside: sets of contents, as bits. No actor reads it.

    `fresh`: contents that may be run now without a repetition, and 8 for a replay. `looked`: the
    watch has looked since the copy was made. `left`: rows of requests that were killed before their
    answer. `fault`: what went wrong.
    """

    answered: int = 0
    replaced: int = 0
    stored: int = 0
    fresh: int = 6
    looked: bool = False
    left: frozenset[int] = frozenset()
    fault: str = ""


class World(NamedTuple):
    """A state of the search."""

    postgres: Postgres
    servers: tuple[Server, ...]
    requests: tuple[Request, ...]
    workers: tuple[Worker, ...]
    replicas: tuple[int, ...] = (0,)
    slice: Slice | None = None
    operator: Operator = Operator()
    budget: Budget = Budget()
    ghost: Ghost = Ghost()


def bit(content: int) -> int:
    """The set with one content."""
    return 1 << content


def permit(content: int, place: str) -> int:
    """What a run of a content needs in `Ghost.fresh`: a replay is permitted by itself."""
    return 8 if place == RUN else 1 << content


def put[T](items: tuple[T, ...], index: int, item: T) -> tuple[T, ...]:
    """The tuple with one item replaced."""
    return (*items[:index], item, *items[index + 1 :])


def with_data(world: World, index: int, data: Data) -> World:
    """The world after a script has run on a server."""
    return world._replace(
        servers=put(world.servers, index, world.servers[index]._replace(data=data))
    )


def with_ghost(world: World, **changes: object) -> World:
    """The world with other facts."""
    return world._replace(ghost=world.ghost._replace(**changes))


def spend(world: World, fault: str) -> World:
    """The world with one fault fewer to come."""
    left = getattr(world.budget, fault)
    return world._replace(budget=world.budget._replace(**{fault: left - 1}))
