"""The rounds of the benchmark of large vCons, interleaved, and their medians."""

import logging
import statistics
import threading
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from benchmarks.figures import Figure
from benchmarks.large_vcons.rounds import Bench, Holds, Round
from benchmarks.servers import servers

SIZE, VCONS = 5_000_000, 16
AIM = 0.6
HELD = 20.0
"""Milliseconds that a loop or Redis may be held."""

type Rounds = defaultdict[str, list[Round]]


@dataclass(frozen=True, slots=True)
class Measured:
    """By storage: the rounds of the service and of the floor, and one round with holds."""

    ours: Rounds = field(default_factory=lambda: defaultdict(list))
    floor: Rounds = field(default_factory=lambda: defaultdict(list))
    holds: dict[str, Holds] = field(default_factory=dict)

    def rates(self, vcons: int) -> dict[str, tuple[float, float]]:
        """VCons per second of the service and of the floor."""
        return {
            name: (_rate(self.ours[name], vcons), _rate(self.floor[name], vcons))
            for name in self.ours
        }

    def cpus(self, vcons: int) -> dict[str, tuple[float, float]]:
        """CPU seconds for a vCon, with those of Redis, of the service and of the floor."""
        return {
            name: (_cpu(self.ours[name], vcons), _cpu(self.floor[name], vcons))
            for name in self.ours
        }


def _rate(rounds: Sequence[Round], vcons: int) -> float:
    return statistics.median(vcons / each.seconds for each in rounds)


def _cpu(rounds: Sequence[Round], vcons: int) -> float:
    return statistics.median(each.cpu / vcons for each in rounds)


@contextmanager
def s3_server() -> Iterator[str]:
    """The address of moto in a process of its own."""
    from multiprocessing import get_context  # noqa: PLC0415

    context = get_context("spawn")
    theirs, ours = context.Pipe()
    process = context.Process(target=_serve_s3, args=(theirs,), daemon=True)
    process.start()
    theirs.close()  # so that `recv` ends if the process does
    try:
        yield ours.recv()
    finally:
        process.terminate()
        process.join()


def _serve_s3(told: object) -> None:
    from moto.server import ThreadedMotoServer  # noqa: PLC0415 -- in that process only

    logging.getLogger("werkzeug").setLevel(logging.WARNING)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    told.send(f"http://{host}:{port}")  # type: ignore[attr-defined]
    threading.Event().wait()


def measure(
    storages: Sequence[str],
    rounds: int,
    vcons: int,
    size: int,
    how: str,
    said: Callable[[str], None] = lambda _: None,
) -> Measured:
    """Interleaved rounds, then one with holds for each storage."""
    measured = Measured()
    with servers() as stack, s3_server() as s3_url:
        bench = Bench(stack, size, vcons, s3_url)
        for number in range(rounds):
            for name in storages:
                measured.floor[name].append(bench.floor(name, how))
                measured.ours[name].append(bench.service(name))
            said(f"round {number + 1} of {rounds}")
        measured.holds.update({name: bench.holds(name) for name in storages[:1]})
    return measured


def figures(rounds: int) -> Iterable[Figure]:
    """The short form for `make bench`."""
    measured = measure(["file", "s3"], min(rounds, 2), VCONS, SIZE, "path")
    cpus = measured.cpus(VCONS)
    for name, (ours, floor) in measured.rates(VCONS).items():
        cpu, floor_cpu = (each * 1e3 for each in cpus[name])
        note = f"{ours * SIZE / 1e6:.0f} MB/s; CPU {cpu:.0f} ms a vCon, floor {floor_cpu:.0f}"
        yield Figure(f"5 MB vCons to {name}, 8 at once", ours / floor, AIM, note=note)
    held = measured.holds["file"]
    named = {
        "service's loop, longest turn": (held.service_cpu, "CPU time"),
        "worker's loop, longest turn": (held.worker_cpu, "CPU time"),
        "Redis, slowest command": (held.slowest, held.slowest_name),
        "p99 of a small request beside": (held.beside.p99, f"p50 {held.beside.p50:.1f} ms"),
    }
    for name, (value, note) in named.items():
        yield Figure(name, value, HELD, at_most=True, unit=" ms", note=note)
