"""The cases of the request benchmark, and their rounds."""

import contextlib
import statistics
import sys
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import astuple, dataclass
from itertools import repeat

import orjson

from benchmarks.processes import cpu_seconds
from benchmarks.rpc.clients import OURS, SETTINGS, client, stop_workers
from benchmarks.rpc.names import INGRESS
from benchmarks.servers import servers
from benchmarks.vcons import made_up_vcons
from devstack.plugboard import DevelopmentPlugboard, Load, PlugboardSettings, Service, drive
from devstack.servers.stack import EmbeddedStack

BOARD_CORE = 0
JOIN_SECONDS = 60.0
WARM_UP = 200
VCON_BYTES = 5_000


@dataclass(frozen=True, slots=True)
class Case:
    """One measured case, for our client and each of `floors`."""

    name: str
    action: str
    fields: Callable[[], Iterator[object]]
    requests: int
    in_flight: int
    floors: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Measured:
    """One round of one client: answers per second, milliseconds, CPU microseconds per answer."""

    rate: float
    p50: float
    p99: float
    cpu: float


type Rounds = defaultdict[tuple[str, str], list[Measured]]
"""By case and client."""


def _texts() -> Iterator[object]:
    return repeat({"text": "The quick brown fox jumps over the lazy dog"})


def _pauses() -> Iterator[object]:
    return repeat({"text": "The quick brown fox", "seconds": 0.05})


def ingested_vcons(size: int = VCON_BYTES) -> Callable[[], Iterator[object]]:
    """Distinct vCons from templates; only the end of the uuid differs."""
    (vcon,) = made_up_vcons(1, sizes=(VCON_BYTES, VCON_BYTES))
    vcon["dialog"] *= size // VCON_BYTES
    text = orjson.dumps({"vcon": vcon, "ingress_lists": [INGRESS]})
    before, after = text.split(vcon["uuid"].encode(), 1)
    given = (b"%b%b%012x%b" % (before, vcon["uuid"][:-12].encode(), n, after) for n in range(2**40))
    return lambda: map(orjson.Fragment, given)


INGESTED = ingested_vcons()
"""One source for all cases: a vCon that another case has sent is a duplicate."""
CASES = (
    *(
        Case(f"echo, {n} in flight", "Echo", _texts, count, n, ("echo", "echo_fast"))
        for n, count in ((1, 3_000), (16, 10_000), (64, 10_000))
    ),
    Case("50 ms, 64 in flight", "Pause", _pauses, 64 * 40, 64, ("echo_later",)),
    *(
        Case(f"ingest, {n} in flight", "IngestVcon", INGESTED, 2_000, n, ("ingest",))
        for n in (1, 16, 64)
    ),
)


class Bench:
    """A board with its joined clients."""

    def __init__(self, board: DevelopmentPlugboard, stack: EmbeddedStack) -> None:
        self._board, self._stack = board, stack
        self._clients: dict[str, tuple[Service, int]] = {}

    async def add(self, kind: str, until: contextlib.ExitStack) -> None:
        """Start a client, which is stopped on exit, and wait for its join."""
        service = self._board.create_service(kind)
        pid = until.enter_context(client(self._board, service, self._stack))
        self._clients[kind] = service, pid
        await self._board.wait_joined(service, within=JOIN_SECONDS)
        if kind in SETTINGS:
            stop_workers(pid)

    async def measure(self, case: Case, kind: str) -> Measured:
        """One round after a short warm-up."""
        _, pid = self._clients[kind]
        await self._drive(case, kind, WARM_UP)
        before = cpu_seconds(pid)
        load = await self._drive(case, kind, case.requests)
        cpu = cpu_seconds(pid) - before
        times = statistics.quantiles(load.latencies, n=100)
        return Measured(
            rate=load.answers_per_second,
            p50=times[49] * 1e3,
            p99=times[98] * 1e3,
            cpu=cpu / case.requests * 1e6,
        )

    async def _drive(self, case: Case, kind: str, requests: int) -> Load:
        service, _ = self._clients[kind]
        load = await drive(
            self._board,
            service,
            action=case.action,
            fields=case.fields(),
            requests=requests,
            in_flight=case.in_flight,
        )
        if load.timed_out:
            sys.exit(f"{kind} left {load.timed_out} requests of {case.name} without an answer")
        return load


async def measure(cases: Sequence[Case], rounds: int, *, disk: bool = False) -> Rounds:
    """The results of each client for each case and round. `disk`: the servers wait for it."""
    measured: Rounds = defaultdict(list)
    settings = PlugboardSettings(recorded_frames=0, losses=False)
    with (
        servers("always" if disk else "everysec", disk=disk) as stack,
        contextlib.ExitStack() as clients,
    ):
        async with DevelopmentPlugboard(settings) as board:
            bench = Bench(board, stack)
            for kind in dict.fromkeys((OURS, *(name for case in cases for name in case.floors))):
                await bench.add(kind, clients)
            for number in range(rounds):
                for case in cases:
                    for kind in (OURS, *case.floors):
                        measured[case.name, kind].append(await bench.measure(case, kind))
                print(f"round {number + 1} of {rounds}", file=sys.stderr)
            clients.close()  # while there is a board to leave
    return measured


def median(rounds: Sequence[Measured]) -> Measured:
    """The median of each figure."""
    return Measured(*map(statistics.median, zip(*map(astuple, rounds), strict=True)))
