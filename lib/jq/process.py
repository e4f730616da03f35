"""Evaluates jq filters in child processes with limits of time and memory."""

import atexit
import contextlib
import json
import select
import subprocess
import sys
import threading
from pathlib import Path
from typing import IO, Any

import orjson

from lib import limits

MAX_IDLE = 4
"""The number of idle processes kept for later calls."""

_CHILD = Path(__file__).with_name("child.py")
_idle: list["_Child"] = []
_lock = threading.Lock()


class JqEndedError(RuntimeError):
    """The filter exceeded its limit of time or memory, and its process was killed."""


def first_output_counts(program: str, document: object) -> bool:
    """Whether the first output of a filter is truthy in Python; blocks.

    Raises:
        ValueError: jq's message if the filter fails on the document.
        JqEndedError: if the filter exceeded a limit.
    """
    child = _take()
    try:
        answer = child.ask(program, orjson.dumps(document))
    except BaseException:
        child.end()
        raise
    _give_back(child)
    if "error" in answer:
        raise ValueError(answer["error"])
    return bool(answer["matches"])


class _Child:
    """One process; it serves one call at a time."""

    def __init__(self) -> None:
        self._limits = limits.current()
        self._process = subprocess.Popen(  # noqa: S603 -- our own file; no secrets in its environment
            [sys.executable, "-I", str(_CHILD)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={},
        )
        setup = {
            "path": sys.path,
            "memory": self._limits.jq_memory,
            "seconds": self._limits.jq_seconds,
        }
        self._send(json.dumps(setup).encode())

    @property
    def is_usable(self) -> bool:
        """Whether it is running, with the current limits."""
        return self._limits == limits.current() and self._process.poll() is None

    def ask(self, program: str, document: bytes) -> dict[str, Any]:
        """The answer to one request. Raises `JqEndedError`."""
        self._send(json.dumps(program).encode(), document)
        answers = self._pipe(self._process.stdout)
        poll = select.poll()
        poll.register(answers, select.POLLIN | select.POLLHUP)
        if not poll.poll(self._limits.jq_seconds * 1000):
            raise JqEndedError(f"did not end within {self._limits.jq_seconds:g} s (JQ_SECONDS)")
        if not (line := answers.readline()):
            raise JqEndedError(
                f"the process ended, probably at its limit of {self._limits.jq_memory} bytes "
                "of memory (JQ_MEMORY)"
            )
        answer: dict[str, Any] = json.loads(line)
        return answer

    def end(self) -> None:
        """Kill it."""
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            with contextlib.suppress(OSError):  # closing flushes unsent data to the dead process
                self._pipe(pipe).close()

    def _send(self, *lines: bytes) -> None:
        requests = self._pipe(self._process.stdin)
        with contextlib.suppress(BrokenPipeError):  # the read that follows reports it
            for line in lines:
                requests.write(line + b"\n")
            requests.flush()

    @staticmethod
    def _pipe(pipe: IO[bytes] | None) -> IO[bytes]:
        assert pipe is not None
        return pipe


def _take() -> _Child:
    while True:
        with _lock:
            child = _idle.pop() if _idle else None
        if child is None:
            return _Child()
        if child.is_usable:
            return child
        child.end()


def _give_back(child: _Child) -> None:
    with _lock:
        if is_kept := len(_idle) < MAX_IDLE:
            _idle.append(child)
    if not is_kept:
        child.end()


@atexit.register
def _end_all() -> None:
    while _idle:
        _idle.pop().end()
