"""Owns the process of a trial: starts it, asks it, ends it when it takes too long, starts another.

The process is the leader of a session of its own, so what it starts ends with it.
"""

import asyncio
import contextlib
import json
import os
import pickle
import signal
import subprocess
import sys
import threading
import time
from multiprocessing.connection import Connection, Pipe
from pathlib import Path
from typing import Any

import orjson
from pydantic import ValidationError

from core.concurrency.thread_pool import in_own_thread
from core.environment import inherited_environment
from core.errors import PluginFailedError
from core.settings import Settings
from pipeline.operator.trial.messages import Checked, CheckSetup, Loaded, Request, Setup, Tried

LOAD_SECONDS = 60.0
"""Time for the import of all links."""
MOST_BYTES = 64 * 1024 * 1024
"""The longest message of the process."""
ENDING_SECONDS = 2.0
"""How long a process that has closed its socket has to end, before it is killed."""
_FILE = Path(__file__).parents[3] / "app" / "trial" / "process.py"


class _FailedError(Exception):
    """The process has ended, took too long, or reported an error; the text says which."""


def plain_settings(settings: Settings) -> dict[str, Any]:
    """The settings that the process gets, for `lib`: no secrets."""
    return {name: value for name, value in settings if isinstance(value, bool | int | float | str)}


async def check(setup: CheckSetup, load_seconds: float = LOAD_SECONDS) -> Checked:
    """Check plugins and connections in a process of its own."""
    process = _Process()
    try:
        answer = await in_own_thread(process.load, setup, load_seconds, "checked")
        return Checked.model_validate(answer)
    except (_FailedError, ValidationError) as error:
        return Checked(problems=[f"the plugins cannot be loaded: {error}"])
    finally:
        await asyncio.shield(in_own_thread(process.end))


class Sandbox:
    """Runs trials one after the other; use it on one event loop, within `async with`."""

    def __init__(self, setup: Setup, load_seconds: float = LOAD_SECONDS) -> None:
        """The process is started by `load`."""
        self.setup = setup
        self._load_seconds = load_seconds
        self._process: _Process | None = None
        self.started = 0
        """How many processes have been started."""

    async def __aenter__(self) -> "Sandbox":
        return self

    async def __aexit__(self, *_: object) -> None:
        await asyncio.shield(in_own_thread(self._end))

    async def load(self) -> Loaded:
        """Start a process and have it load the links.

        Raises:
            PluginFailedError: it did not get to the end; the text says in which way.
        """
        self.started += 1
        self._process = process = _Process()
        try:
            answer = await in_own_thread(process.load, self.setup, self._load_seconds, "loaded")
            return Loaded.model_validate(answer)
        except (_FailedError, ValidationError) as error:
            await in_own_thread(self._end)
            raise PluginFailedError(f"the links cannot be loaded for a trial: {error}") from None

    async def trial(self, request: Request) -> Tried | str:
        """The result of one trial, or why there is none.

        Raises:
            PluginFailedError: the process of the trial before had to be replaced, and the new one
                could not load the links.
        """
        if self._process is None:
            await self.load()
        assert self._process is not None
        try:
            answer = await in_own_thread(self._process.ask, request, self.setup.seconds)
            tried = Tried.model_validate(answer)
        except (_FailedError, ValidationError) as error:
            await in_own_thread(self._end)
            return str(error) if isinstance(error, _FailedError) else "its result is not readable"
        if tried.after.recycle or (tried.before and tried.before.recycle):
            await in_own_thread(self._end)
        return tried

    def _end(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.end()


class _Process:
    """One process; every method but `end` blocks in the calling thread until the answer."""

    def __init__(self) -> None:
        self._socket, theirs = Pipe()
        self._lock = threading.Lock()
        self._link = ""
        with theirs:
            self._popen = _started(theirs)

    def load(self, setup: Setup | CheckSetup, seconds: float, wanted: str) -> Any:
        with contextlib.suppress(OSError):  # the read that follows reports it
            self._socket.send_bytes(json.dumps({"path": sys.path}).encode())
        return self._answer(setup, seconds, wanted)

    def ask(self, request: Request, seconds: float) -> Any:
        return self._answer(request, seconds, "tried")

    def _answer(self, message: object, seconds: float, wanted: str) -> Any:
        """The answer to a message.

        Raises:
            _FailedError: there is none.
        """
        self._link, ends = "", time.monotonic() + seconds
        with contextlib.suppress(OSError):
            self._socket.send_bytes(pickle.dumps(message, pickle.HIGHEST_PROTOCOL))
        while True:
            answer = self._next(ends, seconds)
            self._link = str(answer.get("link", self._link))[:200]
            if "failed" in answer:
                raise _FailedError(str(answer["failed"])[:500])
            if wanted in answer:
                return answer[wanted]

    def _next(self, ends: float, seconds: float) -> dict[str, Any]:
        try:
            if not self._socket.poll(max(ends - time.monotonic(), 0)):
                raise _FailedError(f"{self._where}did not end within {seconds:g} s")
            answer = orjson.loads(self._socket.recv_bytes(MOST_BYTES))
        except (EOFError, OSError):
            raise _FailedError(f"{self._where}{self._ending()}") from None
        except orjson.JSONDecodeError:
            answer = None
        if not isinstance(answer, dict):
            raise _FailedError(f"{self._where}sent something that is no answer")
        return answer

    @property
    def _where(self) -> str:
        return f"link {self._link} " if self._link else "the process of the trial "

    def _ending(self) -> str:
        """How the process has ended, whose end of the socket is closed."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._popen.wait(ENDING_SECONDS)
        self.end()
        code = self._popen.returncode
        if code >= 0:
            return f"ended the process, with exit code {code}"
        with contextlib.suppress(ValueError):
            return f"ended the process, by {signal.Signals(-code).name}"
        return f"ended the process, by signal {-code}"

    def end(self) -> None:
        """Kill it and what it has started, and wait."""
        with self._lock:
            if self._popen.poll() is None:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(self._popen.pid, signal.SIGKILL)
                self._popen.wait()
        self._socket.close()


def _started(theirs: "Connection[Any, Any]") -> "subprocess.Popen[bytes]":
    return subprocess.Popen(  # noqa: S603 -- our own file
        [sys.executable, "-I", str(_FILE), str(theirs.fileno())],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=inherited_environment(),
        pass_fds=[theirs.fileno()],
        start_new_session=True,
    )
