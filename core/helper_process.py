"""A process beside the service for work that would keep the event loop waiting.

Parsing a large document holds the interpreter's lock, so a thread does not help: every small
request waits. The helper is started with the first call and does one call after the other. A call
is a function that can be imported and its arguments, pickled; the result comes back the same way.
The helper ends when its end of the socket is closed, that is, with this process at the latest.
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

from core.errors import TooLargeError, UnavailableError
from core.thread_pool import in_own_thread

TRIES = 2
"""How many helpers a call may find ended: the first one may have ended because of another call."""
_CHILD = Path(__file__).with_name("helper_child.py")


class Offload(Protocol):
    """Awaits the result of a function that runs elsewhere; it raises what the function raises."""

    async def __call__[**P, T](
        self, function: Callable[P, T], *args: P.args, **options: P.kwargs
    ) -> T:
        """Call the function; it and all arguments can be pickled."""


async def call_inline[**P, T](function: Callable[P, T], *args: P.args, **options: P.kwargs) -> T:
    """What the function returns, or raises: an `Offload` without another process."""
    return function(*args, **options)


class HelperLimits(NamedTuple):
    """The settings LARGE_DOCUMENT_SECONDS, for one call, and LARGE_DOCUMENT_MEMORY.

    The memory is address space in bytes: the parser reserves 150 times the text and touches 40
    times at most.
    """

    seconds: float = 20.0
    memory: int = 4 * 1024 * 1024 * 1024


class _EndedError(Exception):
    """The helper has ended before it answered."""


class HelperProcess:
    """Owns the helper; to be used on one event loop."""

    def __init__(self, limits: HelperLimits = HelperLimits()) -> None:  # noqa: B008 -- immutable
        """Starts nothing yet."""
        self._limits = limits
        self._turn = asyncio.Lock()
        self._child: _Child | None = None
        self._closed = False

    @property
    def pid(self) -> int | None:
        """Of the helper, if one runs."""
        return self._child.pid if self._child else None

    async def __call__[**P, T](
        self, function: Callable[P, T], *args: P.args, **options: P.kwargs
    ) -> T:
        """What the function returns, or raises; calls are made in the order in which they come.

        A caller that is cancelled during its turn ends the helper: its work is of no more use.

        Raises:
            TooLargeError: it takes more time or memory than the limits allow.
            UnavailableError: the helper has ended, each time.
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
        """End the helper; a call under way fails with `UnavailableError`, and so do later ones."""
        self._closed = True
        if child := self._end():
            child.wait()


class _Child:
    """One helper, started with the first call; `ask` blocks and is to be called in a thread."""

    def __init__(self, limits: HelperLimits) -> None:
        self._limits = limits
        self._socket, self._theirs = Pipe()
        self._process: subprocess.Popen[bytes] | None = None
        self._has_ended = False
        self._lock = threading.Lock()
        """Held while it is started or ended."""

    def _start(self) -> None:
        with self._lock:
            if self._has_ended:
                raise _EndedError
            if self._process is None:
                self._process = _started(self._theirs)
                self._theirs.close()
                self._socket.send_bytes(_told(self._limits))

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process else None

    def ask(self, call: tuple[Any, ...]) -> tuple[bool, Any]:
        """Whether the function has returned, and the result; else the exception.

        Raises:
            _EndedError: the helper has ended.
            TooLargeError: it did not answer in time.
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
        """Kill it; a thread that waits for its answer finds that it has ended."""
        with self._lock:
            self._has_ended = True
            if self._process is not None:
                self._process.kill()
        threading.Thread(target=self.wait, name="shared helper", daemon=True).start()

    def wait(self) -> None:
        """Until it is gone, with all its memory."""
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


def _told(limits: HelperLimits) -> bytes:
    return json.dumps({"path": sys.path, **limits._asdict()}).encode()
