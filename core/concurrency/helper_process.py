"""A helper process for work that would block the event loop.

Parsing a large document holds the GIL, so that a thread would delay all other requests, too. The
helper is started by the first call and runs one call at a time. A call is an importable function
with its arguments, pickled; the result is returned in the same way. The helper ends when the other
end of its socket is closed, so it does not outlive this process.
"""

import asyncio
import contextlib
import json
import pickle
import subprocess
import sys
import threading
from collections.abc import Callable
from multiprocessing.connection import Connection, Pipe
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from core.concurrency.thread_pool import in_own_thread
from core.errors import TooLargeError, UnavailableError

TRIES = 2
"""Attempts of a call, because the helper may have been ended by an earlier call."""
_CHILD = Path(__file__).with_name("helper_child.py")


class Offload(Protocol):
    """Awaits a function that runs elsewhere; returns its result or raises its exception."""

    async def __call__[**P, T](
        self, function: Callable[P, T], *args: P.args, **options: P.kwargs
    ) -> T:
        """Call the function; it and its arguments must be picklable."""


async def call_inline[**P, T](function: Callable[P, T], *args: P.args, **options: P.kwargs) -> T:
    """An `Offload` that calls the function in this process."""
    return function(*args, **options)


class HelperLimits(NamedTuple):
    """LARGE_DOCUMENT_SECONDS (for one call) and LARGE_DOCUMENT_MEMORY.

    The memory is address space in bytes: the parser reserves 150 times the size of the text, and
    touches at most 40 times.
    """

    seconds: float = 20.0
    memory: int = 4 * 1024 * 1024 * 1024


class _EndedError(Exception):
    """The helper ended before it answered."""


class HelperProcess:
    """Owns the helper; use it on one event loop only."""

    def __init__(self, limits: HelperLimits = HelperLimits()) -> None:  # noqa: B008 -- immutable
        """The process is started by the first call."""
        self._limits = limits
        self._turn = asyncio.Lock()
        self._child: _Child | None = None
        self._closed = False

    @property
    def pid(self) -> int | None:
        """The helper's process id, if it runs."""
        return self._child.pid if self._child else None

    async def __call__[**P, T](
        self, function: Callable[P, T], *args: P.args, **options: P.kwargs
    ) -> T:
        """Run a call in the helper, in order of arrival.

        Cancelling a running call ends the helper process.

        Raises:
            TooLargeError: the call exceeds the limit of time or memory.
            UnavailableError: the helper ended in each attempt.
        """
        call = (function, args, options)
        async with self._turn:
            for _ in range(TRIES):
                with contextlib.suppress(_EndedError):
                    result: T = await self._answer(call)
                    return result
        msg = "the process that reads large documents has ended; try again later"
        raise UnavailableError(msg)

    async def _answer(self, call: tuple[Any, ...]) -> Any:
        if self._closed:
            raise _EndedError
        child = self._child = self._child or _Child(self._limits)
        try:
            is_result, answer = await in_own_thread(child.ask, call)
        except BaseException:
            self._end()
            raise
        if not is_result:
            raise answer
        return answer

    def _end(self) -> "_Child | None":
        child, self._child = self._child, None
        if child is not None:
            child.end()
        return child

    def close(self) -> None:
        """End the helper; the running call and later ones raise `UnavailableError`."""
        self._closed = True
        if child := self._end():
            child.wait()


class _Child:
    """One helper process, started by the first call; `ask` blocks, so call it in a thread."""

    def __init__(self, limits: HelperLimits) -> None:
        self._limits = limits
        self._socket, self._theirs = Pipe()
        self._process: subprocess.Popen[bytes] | None = None
        self._has_ended = False
        self._lock = threading.Lock()
        """Serialises the start and the end."""

    def _start(self) -> None:
        with self._lock:
            if self._has_ended:
                raise _EndedError
            if self._process is None:
                self._process = _started(self._theirs)
                self._theirs.close()
                self._socket.send_bytes(_settings(self._limits))

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process else None

    def ask(self, call: tuple[Any, ...]) -> tuple[bool, Any]:
        """True and the result of the function, or False and its exception.

        Raises:
            _EndedError: the helper has ended.
            TooLargeError: the time limit is exceeded.
        """
        try:
            self._start()
            return self._asked(self._socket, pickle.dumps(call, pickle.HIGHEST_PROTOCOL))
        except (EOFError, OSError) as error:
            raise _EndedError from error

    def _asked(self, socket: "Connection[Any, Any]", call: bytes) -> tuple[bool, Any]:
        socket.send_bytes(call)
        if not socket.poll(self._limits.seconds):
            seconds = f"{self._limits.seconds:g} s (LARGE_DOCUMENT_SECONDS)"
            raise TooLargeError(f"reading the document takes longer than {seconds}")
        answer: tuple[bool, Any] = pickle.loads(socket.recv_bytes())  # noqa: S301 -- from our own process
        return answer

    def end(self) -> None:
        """Kill it; `ask` in another thread raises `_EndedError`."""
        with self._lock:
            self._has_ended = True
            if self._process is not None:
                self._process.kill()
        threading.Thread(target=self.wait, name="shared helper", daemon=True).start()

    def wait(self) -> None:
        """Wait until the process has ended."""
        if self._process is not None:
            self._process.wait()


def _started(theirs: "Connection[Any, Any]") -> subprocess.Popen[bytes]:
    return subprocess.Popen(  # noqa: S603 -- our own file; no secrets in its environment
        [sys.executable, "-I", str(_CHILD), str(theirs.fileno())],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={},
        pass_fds=[theirs.fileno()],
    )


def _settings(limits: HelperLimits) -> bytes:
    return json.dumps({"path": sys.path, **limits._asdict()}).encode()
