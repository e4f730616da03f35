"""Keeps worker processes running: starts them, starts them again, stops them."""

import asyncio
import contextlib
import logging
import os
import signal
import socket
import sys
import time
import uuid
from asyncio.subprocess import Process
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from app.worker_progress import LOOK_SECONDS, StalledWorkers, StallLimits
from core.observability import metrics
from core.settings import inherited_environment

# When a process is started for suspects: vCons that were in flight when a worker died.
#
# A suspect runs in a process of its own, so that its death charges it alone and holds up nothing
# else. Such suspect workers are started while suspects wait, and end by themselves when none is
# left.


@dataclass(frozen=True, slots=True)
class Suspects:
    """`waiting` counts the suspects that no process has claimed yet.

    `patience`: seconds without any of them being claimed until one more process is started, up to
    `most` processes.
    """

    waiting: Callable[[], Awaitable[int]]
    patience: float
    most: int


class Recruiting:
    """Decides, look by look, whether one more suspect worker is started."""

    def __init__(self, patience: float, most: int) -> None:
        """See `Suspects`."""
        self._patience = patience
        self._most = most
        self._waiting = 0
        self._moved = 0.0
        self._at_once = True

    def needs_one(self, waiting: int, running: int, now: float) -> bool:
        """Whether to start one; the caller does, and says so in `running` from then on."""
        if waiting < self._waiting or not self._waiting:
            self._moved, self._at_once = now, True
        self._waiting = waiting
        if not waiting or running >= self._most:
            return False
        is_first = not running and self._at_once
        if not is_first and now - self._moved < self._patience:
            return False
        self._moved, self._at_once = now, False
        return True

    def died(self) -> None:
        """One has died: the next may be started at once.

        One that ended by itself, though suspects wait, could claim none of them: an unusable key in
        Redis keeps them. The next one is not started before `patience` is over.
        """
        self._at_once = True


log = logging.getLogger(__name__)

ENTRYPOINT = Path(__file__).parents[1] / "entrypoint.py"
RESTART_PAUSE = 1.0
"""Seconds before a worker that died is started again, so that a crash loop does not spin."""
KILL_AFTER = 5.0
"""Seconds beyond the grace, or after being hurried, until a worker that does not end is killed."""
_STOPPED = (0, -signal.SIGTERM)
"""Exit codes of a worker that was stopped; the second before it has begun to handle signals."""
SUSPECTS_PAUSE = 1.0
"""Seconds between two looks whether suspects wait."""
APART = "-suspects"
"""What the id of a suspect worker ends in."""
BURY_WITHIN = 2.0
"""Seconds that the last ones to die get for being told of; else the next start finds them."""


class Supervisor:
    """`count` processes of one command, each told its own worker id as the last argument.

    A worker reads its standard input and ends when that is closed: however this process dies, its
    workers die with it. A line there says `reload`. Each has a session of its own, so that what a
    terminal sends to everybody, such as Ctrl-C, reaches it only through `stop`.
    """

    def __init__(
        self,
        command: Sequence[str],
        count: int,
        worker_died: Callable[[str], Awaitable[None]],
        *,
        environment: Mapping[str, str],
        process_ended: Callable[[int], None] = lambda _: None,
        suspects: Suspects | None = None,
        stalls: StallLimits | None = None,
    ) -> None:
        """`worker_died` is told the id of a worker that is certainly gone.

        `process_ended` is told the pid of every process that has ended, however it did. For
        `suspects`, processes are started beside the `count`, with `--suspects` before the id.
        Workers are told a file descriptor, `PROGRESS_FD`, and killed by `stalls` if they show no
        progress there.
        """
        self._command = command
        self._count = count
        self._worker_died = worker_died
        self._environment = dict(environment)
        self._process_ended = process_ended
        self._suspects = suspects
        self._stalled = StalledWorkers(stalls)
        self._processes: dict[str, Process] = {}
        self._keepers: list[asyncio.Task[None]] = []
        self._apart: set[asyncio.Task[None]] = set()
        self._stopping = asyncio.Event()

    @property
    def complete(self) -> bool:
        """Whether every worker runs and makes progress, without regard to those for suspects."""
        return self.running == self._count and all(map(_is_apart, self._stalled.ids))

    @property
    def stalled(self) -> int:
        """How many workers run but make no progress."""
        return len(self._stalled.ids)

    @property
    def running(self) -> int:
        """How many workers run, without those for suspects."""
        return len(self._processes) - self.running_apart

    @property
    def running_apart(self) -> int:
        """How many suspect workers run."""
        return sum(map(_is_apart, list(self._processes)))

    async def run(self) -> None:
        """Keep the workers running until `stop`."""
        self._keepers = [asyncio.create_task(self._keep_one()) for _ in range(self._count)]
        if self._suspects:
            self._keepers.append(asyncio.create_task(self._keep_apart(self._suspects)))
        self._keepers.append(asyncio.create_task(self._look_at_progress()))
        await asyncio.gather(*self._keepers)

    async def _look_at_progress(self) -> None:
        while not self._stopping.is_set():
            await self._stalled.look(self._processes)
            await self._pause(LOOK_SECONDS)

    async def _keep_one(self) -> None:
        while not self._stopping.is_set():
            worker_id = _new_id()
            code = await self._run_one(worker_id)
            if self._stopping.is_set() and code in _STOPPED:
                return
            await self._died(worker_id, code)

    async def _died(self, worker_id: str, code: int | None) -> None:
        metrics.WORKER_DEATHS.inc()
        log.error("worker died", extra={"worker": worker_id, "status": code})
        await self._worker_died(worker_id)
        await self._pause(RESTART_PAUSE)

    async def _pause(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._stopping.wait()

    async def _keep_apart(self, suspects: Suspects) -> None:
        """Start suspect workers while suspects wait; until `stop`, then until all have ended."""
        recruiting = Recruiting(suspects.patience, suspects.most)
        while not self._stopping.is_set():
            waiting = await suspects.waiting()
            if recruiting.needs_one(waiting, len(self._apart), time.monotonic()):
                task = asyncio.create_task(self._run_apart(recruiting))
                self._apart.add(task)
                task.add_done_callback(self._apart.discard)
            await self._pause(SUSPECTS_PAUSE)
        await asyncio.gather(*self._apart)

    async def _run_apart(self, recruiting: Recruiting) -> None:
        worker_id = _new_id() + APART
        if (code := await self._run_one(worker_id, "--suspects")) != 0:
            await self._died(worker_id, code)
            recruiting.died()

    async def _run_one(self, worker_id: str, *options: str) -> int | None:
        """The exit code of one process, when it has ended; None when it could not be started."""
        page = self._stalled.page_for(worker_id)
        try:
            process = await asyncio.create_subprocess_exec(
                *self._command,
                *options,
                worker_id,
                stdin=asyncio.subprocess.PIPE,
                env=self._environment | {"PROGRESS_FD": str(page.descriptor)},
                pass_fds=(page.descriptor,),
                start_new_session=True,
            )
        except OSError as error:  # no memory or no process left, just now
            log.error("worker cannot be started", extra={"error": str(error)})  # noqa: TRY400 -- says all there is
            self._stalled.ended(worker_id)
            return None
        self._processes[worker_id] = process
        try:
            if self._stopping.is_set():
                _send(process, signal.SIGTERM)
            return await process.wait()
        finally:
            del self._processes[worker_id]
            self._stalled.ended(worker_id)
            self._process_ended(process.pid)

    def signal(self, signum: signal.Signals) -> None:
        """Send a signal to every worker."""
        for process in self._processes.values():
            _send(process, signum)

    def reload(self) -> None:
        """Tell every worker to read the configuration again, also one that is still starting."""
        for process in self._processes.values():
            if process.stdin is not None:
                process.stdin.write(b"reload\n")

    async def stop(self, grace: float, hurry: asyncio.Event) -> None:
        """SIGTERM to every worker, and again at once when `hurry` is set.

        What has not ended `KILL_AFTER` s past the grace, or past the second signal, is killed.
        """
        self._stopping.set()
        self.signal(signal.SIGTERM)
        with self._beside(self._hurried(hurry)):
            await self._ended(grace + KILL_AFTER)
        self.signal(signal.SIGKILL)
        if self._keepers:
            await asyncio.wait(self._keepers, timeout=BURY_WITHIN)

    @contextlib.contextmanager
    def _beside(self, coroutine: Awaitable[None]) -> Iterator[None]:
        task = asyncio.ensure_future(coroutine)
        try:
            yield
        finally:
            task.cancel()

    async def _ended(self, seconds: float) -> None:
        waits = [asyncio.create_task(process.wait()) for process in self._processes.values()]
        if waits:
            await asyncio.wait(waits, timeout=seconds)

    async def _hurried(self, hurry: asyncio.Event) -> None:
        await hurry.wait()
        self.signal(signal.SIGTERM)
        await asyncio.sleep(KILL_AFTER)
        self.signal(signal.SIGKILL)


def workers(
    count: int,
    worker_died: Callable[[str], Awaitable[None]],
    process_ended: Callable[[int], None],
    variables: Mapping[str, Path],
    suspects: Suspects,
    stalls: StallLimits,
) -> Supervisor:
    """A supervisor of this service's own workers; `variables` are added to the environment.

    They get what this process has not withheld, and read no `.env`: it was read here.
    """
    told = {"ENV_FILE": "", **{name: str(path) for name, path in variables.items()}}
    return Supervisor(
        [sys.executable, str(ENTRYPOINT), "worker"],
        count,
        worker_died,
        environment=inherited_environment() | told,
        process_ended=process_ended,
        suspects=suspects,
        stalls=stalls,
    )


def _is_apart(worker_id: str) -> bool:
    return worker_id.endswith(APART)


def _new_id() -> str:
    return f"{socket.gethostname()}-{os.getpid()}-{uuid.uuid4().hex[:8]}"


def _send(process: Process, signum: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):  # it has ended by itself meanwhile
        process.send_signal(signum)
