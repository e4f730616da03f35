"""The kit's end of a subject process: commands with a time limit, its death, its last stack."""

import contextlib
import math
import multiprocessing
import os
import re
import shutil
import signal
import time
from collections.abc import Sequence
from multiprocessing.context import ForkServerContext
from pathlib import Path
from tempfile import mkdtemp
from types import TracebackType
from typing import Any, Self

from core.errors import ConfigurationError
from devstack.conformance import descendants
from devstack.conformance.cases import Case
from devstack.conformance.host import Facts, Ran
from devstack.conformance.subject_process import (
    PIPE_CLOSED,
    THREAD_SECONDS,
    Order,
    serve,
)

CALL_SECONDS = 10.0
"""The time limit of one call of a plugin, as a step's `timeout`."""
GRACE = 5.0
"""Seconds that a subject has for its answer after that."""
PRELOADED = ("devstack.conformance.subject_process", "lib.web.aiohttp_transport")
"""Of the service; the last one would else be imported in each process of a plugin that sends."""
STACK = re.compile(r'File "([^"]+)", line (\d+)')


class SubjectError(Exception):
    """The subject gave no answer; `frames`: where its threads were."""

    def __init__(self, text: str, frames: Sequence[tuple[str, int]] = ()) -> None:
        super().__init__(text)
        self.frames = list(frames)


def context(preloaded: Sequence[str] = ()) -> ForkServerContext:
    """What starts subject processes: a server process that has imported these modules, too."""
    found = multiprocessing.get_context("forkserver")
    found.set_forkserver_preload([*PRELOADED, *preloaded])
    return found


class OutOfTimeError(Exception):
    """The check's time ended while the subject worked; it has been killed."""


class Subject:
    """A context manager; the process ends with it.

    `until`: the end of the check, by `time.monotonic()`.
    """

    def __init__(
        self, starter: ForkServerContext, case: Case, redis_url: str, until: float = math.inf
    ) -> None:
        self.case, self._until = case, until
        self._folder = Path(mkdtemp(prefix="conformance-"))
        (self._folder / "work").mkdir()
        self._pipe, theirs = starter.Pipe()
        order = Order(case, redis_url, str(self._folder))
        self._process = starter.Process(target=serve, args=(theirs, order))
        self._process.start()
        self._identity = descendants.process_of(self._process.pid or 0)
        theirs.close()
        self.alive = True

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.end()

    def load(self) -> Facts:
        """Load the plugin.

        Raises:
            ConfigurationError: a chain would refuse it.
            SubjectError: its module ends or blocks the process.
        """
        return Facts(**self.ask("load"))

    def run(
        self,
        document: dict[str, Any],
        *,
        put: bool = True,
        options: dict[str, Any] | None = None,
        seconds: float = CALL_SECONDS,
    ) -> Ran:
        """Call the plugin on a vCon, which is stored first unless `put` is False."""
        stored = document if put else None
        words = {"uuid": document["uuid"], "put": stored, "options": options}
        return Ran(**self.ask("run", within=seconds + GRACE, seconds=seconds, **words))

    def ask(self, command: str, within: float = 30.0, **arguments: Any) -> Any:
        """The answer to a command.

        Raises:
            ConfigurationError: the plugin refuses its options.
            SubjectError: there is none within these seconds; the process has been killed then.
            OutOfTimeError: the check ends before that.
        """
        self.tell(command, **arguments)
        return self.answer(within)

    def tell(self, command: str, **arguments: Any) -> None:
        """Give a command without waiting for its end."""
        with contextlib.suppress(BrokenPipeError):
            self._pipe.send((command, arguments))

    def answer(self, within: float) -> Any:
        """The answer to the command that was given."""
        try:
            left = self._until - time.monotonic()
            if not self._pipe.poll(max(0.0, min(within, left))):
                if left < within:
                    self.kill()
                    raise OutOfTimeError
                frames = self._stack()
                self.kill()
                raise SubjectError(f"no answer within {within:g} s", frames)
            word, value = self._pipe.recv()
        except (EOFError, ConnectionResetError):
            self.alive = False
            self._process.join(GRACE)
            raise SubjectError(self._exit(), self._stack()) from None
        if word == "refused":
            raise ConfigurationError([value])
        if word == "error":
            raise SubjectError(value, frames_in(value))
        return value

    def answered(self) -> bool:
        """Whether there is an answer to be read."""
        return self._pipe.poll(0)

    def kill(self) -> None:
        """Kill the process, wait for its end, and kill what it has started."""
        self.alive = False
        started = descendants.below(self._identity)
        if self._process.is_alive():
            self._process.kill()
        self._process.join()
        descendants.kill(started)

    def end_alone(self) -> list[str]:
        """Kill the process; those of the processes below it that do not end with it, by name.

        A helper that reads from its worker until the end is none.
        """
        names = descendants.named(descendants.below(self._identity))
        self.alive = False
        self._process.kill()
        self._process.join()
        left = descendants.outliving(names, THREAD_SECONDS)
        descendants.kill(left)
        return [names[each] for each in left]

    def end(self) -> None:
        """Kill it and remove its folder."""
        self.kill()
        self._process.close()
        self._pipe.close()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _exit(self) -> str:
        code = self._process.exitcode
        if code is None or code == PIPE_CLOSED:
            return "it closes files that are not its own: the pipe of its process is closed"
        how = f"signal {-code}" if code < 0 else f"exit code {code}"
        return f"its process ended, {how}"

    def _stack(self) -> list[tuple[str, int]]:
        """Where its threads are, from the handler of SIGUSR1."""
        file, pid = self._folder / "stacks", self._process.pid
        if pid is not None and self._process.is_alive():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGUSR1)
        until = time.monotonic() + 1
        while time.monotonic() < until and file.exists() and not file.stat().st_size:
            time.sleep(0.01)  # the handler runs in the other process
        return (
            frames_in(file.read_text(errors="replace"), newest_first=True) if file.exists() else []
        )


def own_place(module: str, frames: Sequence[tuple[str, int]]) -> tuple[str, int] | None:
    """The deepest of these lines that is in the module's own file or folder; None if none is."""
    name = module.rpartition(".")[2]
    own = [each for each in frames if name in Path(each[0]).parts or Path(each[0]).stem == name]
    return own[-1] if own else None


def place_in(module: str, frames: Sequence[tuple[str, int]]) -> str:
    """The same as `file:line`; "" if none is."""
    found = own_place(module, frames)
    return f"{found[0]}:{found[1]}" if found else ""


def frames_in(text: str, *, newest_first: bool = False) -> list[tuple[str, int]]:
    """File and line of each frame in a traceback, outermost first."""
    found = [(file, int(line)) for file, line in STACK.findall(text)]
    return found[::-1] if newest_first else found
