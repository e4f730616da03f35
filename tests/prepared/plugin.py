"""Lets the tests' services, workers and keepers be forked from a prepared process.

See `program.py`. It is started when the first of them is; each process that runs tests has its own.
Tests with the mark `executed` execute all they start, with `pytest --executed` all tests do.
"""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from collections.abc import Generator
from pathlib import Path
from threading import Lock

import pytest

from tests.prepared.orders import (
    LONGEST_COMMAND,
    ORIGIN_ENVIRONMENT,
    Call,
    Facts,
    replace_starts,
)
from tests.prepared.origin import Requests, adopt_orphans

PROGRAM = Path(__file__).with_name("program.py")
MOST_FACTS = 100_000
"""Bytes of the prepared process's facts."""


class Prepared:
    """The prepared process of this one; it ends with it."""

    def __init__(self) -> None:
        """Start it."""
        self._control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            number = theirs.fileno()
            self._process = subprocess.Popen(
                [sys.executable, PROGRAM, str(number), "." * (2 * LONGEST_COMMAND)],
                env=ORIGIN_ENVIRONMENT,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                pass_fds=[number],
                start_new_session=True,
            )
        told = self._control.recv(MOST_FACTS)
        assert told, "the prepared process could not import the service"
        facts = Facts(**{name: frozenset(names) for name, names in json.loads(told).items()})
        self.start = Requests(self._control, facts).start
        adopt_orphans()

    def close(self) -> None:
        """End it."""
        self._control.close()
        self._process.wait()


class PreparedStarts:
    """A plugin of pytest."""

    def __init__(self, *, executed: bool) -> None:
        """With `executed`, everything is."""
        self._all_executed = self.executed = executed
        self._prepared: Prepared | None = None
        self._lock = Lock()
        replace_starts(self._start)

    def _start(self, call: Call) -> int | None:
        if self.executed or not call.plain:
            return None
        order = call.order()
        if not (order.is_keeper or order.is_service):
            return None
        with self._lock:
            self._prepared = self._prepared or Prepared()
        return self._prepared.start(call)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Generator[None, object, object]:
        """A test with the mark, and fixtures that are set up for it, execute programs."""
        self.executed = self._all_executed or item.get_closest_marker("executed") is not None
        return (yield)

    @pytest.hookimpl(trylast=True)
    def pytest_unconfigure(self) -> None:
        """End the prepared process."""
        if self._prepared:
            self._prepared.close()
