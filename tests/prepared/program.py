"""The prepared process: has imported the service; forks of it become services, workers, keepers.

    python program.py DESCRIPTOR FILLING     (a socket; an argument that is overwritten)

Importing takes a service 1.5 s of CPU time and a worker 0.7 s, and the tests start hundreds. What
is forked from here has the same arguments, environment, descriptors, session, parent, signal
handling, exit code and `/proc` entry as an executed process. It differs in these points:

- All parts are imported: a worker has SQL, too. Time and memory until it is ready are smaller.
- The seed of hashes of texts is the same in all of them.
- `/proc/PID/environ` has the prepared process's variables (`PATH` only).
- A service has one more child, from which its workers are forked, and adopts orphans below it.

Tests of such things, of the start itself and of what an installation does carry the mark
`executed`. Modules that imports would have found elsewhere, and variables that they read, are
recognised (`orders.Facts`): such a program is executed.
"""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = str(Path(__file__).parents[2])
BEHIND = sys.path[1:]
sys.path[0] = ROOT

import gc  # noqa: E402
import importlib  # noqa: E402
import json  # noqa: E402
import os  # noqa: E402
import socket  # noqa: E402

from tests.prepared import becoming, worker_starts  # noqa: E402
from tests.prepared.orders import Call, Facts, Order, replace_starts  # noqa: E402
from tests.prepared.origin import serve  # noqa: E402

MODULES = (
    "uvloop",
    "app.cli",
    "app.bootstrap",
    "app.bootstrap_api",
    "app.bootstrap_worker",
    "app.operator_cli.run",
)


class Become(BaseException):
    """Unwinds what a keeper was doing, in the process that it has forked."""

    def __init__(self, order: Order) -> None:
        self.order = order


class _Recorded(type(os.environ)):  # type: ignore[misc]
    """The environment while modules are imported."""

    read: set[str] = set()  # noqa: RUF012 -- of the class: an instance has no room

    def __getitem__(self, name: str) -> str:
        self.read.add(name)
        return super().__getitem__(name)


def imported() -> Facts:
    """Import the modules."""
    plain, os.environ.__class__ = os.environ.__class__, _Recorded
    for name in MODULES:
        importlib.import_module(name)
    os.environ.__class__ = plain
    roots = {name.partition(".")[0] for name in sys.modules}
    return Facts(frozenset(roots), frozenset(_Recorded.read))


class Prepared:
    """This process and what is forked from it."""

    def __init__(self, control: socket.socket) -> None:
        self._line = becoming.CommandLine()
        self._facts = imported()
        gc.collect()
        gc.freeze()
        assert len(list(Path("/proc/self/task").iterdir())) == 1, "an import started a thread"
        files = {int(entry.name) for entry in Path("/proc/self/fd").iterdir()}
        # the standard ones, the socket, and the one that read the folder
        assert len(files) <= 5, f"an import opened a file: {files}"
        told = {"roots": sorted(self._facts.roots), "read": sorted(self._facts.read)}
        control.send(json.dumps(told).encode())
        self._control = control

    def forked(self) -> Order:
        """Serve; returns in new processes only, which have become what was ordered."""
        return self._become(*serve(self._control))

    def _become(self, order: Order, descriptors: list[int]) -> Order:
        becoming.become(order, descriptors, self._line, BEHIND)
        if order.is_keeper:
            replace_starts(self._fork)
        elif worker_starts.expected(order):
            return self._prepare_workers(order)
        return order

    def _fork(self, call: Call) -> int | None:
        if (order := self._facts.fit(call)) is None:
            return None
        if pid := os.fork():
            return pid
        becoming.become(order, call.descriptors, self._line, BEHIND)
        if call.preexec_fn is not None:
            call.preexec_fn()
        raise Become(order)

    def _prepare_workers(self, order: Order) -> Order:
        """Fork the process from which a service's workers are forked; returns in all of them."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        if os.fork():
            theirs.close()
            worker_starts.install(ours, self._facts)
            return order
        ours.close()
        self._control = theirs
        worker_starts.stand_aside(theirs, self._line)
        return self.forked()

    def prepare_workers(self, order: Order) -> Order:
        """The same for a service that a keeper has forked."""
        return self._prepare_workers(order) if worker_starts.expected(order) else order


def main(arguments: list[str]) -> None:
    """Serve, and run what was ordered in the processes that come of it."""
    prepared = Prepared(socket.socket(fileno=int(arguments[1])))
    order = prepared.forked()
    while True:
        try:
            becoming.run(order)
        except Become as become:
            order = become.order
        else:
            return
        order = prepared.prepare_workers(order)


if __name__ == "__main__":
    main(sys.argv)
