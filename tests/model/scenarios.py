"""Where the searches begin: each scenario has the faults that matter to one part."""

from tests.model.search import Scenario
from tests.model.state import Budget, Data, Postgres, Request, Server, Worker, World

EMPTY = Data(server=1, generation=1)


def world(requests: int = 1, workers: int = 1, contents: int = 1, **budget: int) -> World:
    """An approved, empty Redis, and callers that are about to send."""
    senders = tuple(Request(1 + index % contents) for index in range(requests))
    return World(
        Postgres(),
        (Server(1, EMPTY),),
        senders,
        tuple(Worker() for _ in range(workers)),
        budget=Budget(**budget),
    )


def two_replicas() -> World:
    """Two replicas, of which the second one will see the promoted server."""
    return World(
        Postgres(),
        (Server(1, EMPTY),),
        (Request(1, replica=0),),
        (Worker(0), Worker(1)),
        replicas=(0, 0),
        budget=Budget(copy=1, promote=1),
    )


def scenarios(more: bool = False) -> tuple[Scenario, ...]:
    """All of them; `more` allows each one fault more."""
    n = 1 + more
    return (
        Scenario("accept", world(service_crash=n, repeat=n, flush=1, recovery_crash=more)),
        Scenario("two callers", world(requests=2, flush=n)),
        Scenario("two callers, older data", world(requests=2, copy=1, restore=1)),
        Scenario("settle", world(workers=2, worker_crash=1, lease=more, copy=1, restore=1)),
        Scenario("fail", world(workers=2, failure=1, lease=1, worker_crash=more, flush=n)),
        Scenario("Postgres away", world(away=1, failure=1, copy=1, restore=1, flush=more)),
        Scenario("replay", world(failure=1, replay=1, service_crash=1, copy=1, restore=1)),
        Scenario("recover", world(recovery_crash=n, copy=1, restore=1, flush=1)),
        Scenario("the same server", world(copy=1, rewind=1, look=2), repeats=False),
        Scenario("delete", world(copy=1, restore=1, delete=1)),
        Scenario("retention", world(service_crash=1, repeat=1, prune=1, flush=1)),
        Scenario("two contents", world(requests=2, contents=2, flush=1), repeats=False),
        Scenario("two servers", two_replicas(), repeats=False),
    )
