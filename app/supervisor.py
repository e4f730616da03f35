"""Starts worker processes, replaces those that end, and stops them.

Beside the normal workers there are suspect workers. A suspect is a vCon that was in flight when a
worker died. It runs in a process of its own: if that dies too, the death is counted for this vCon
alone and interrupts no other run. Suspect workers are started while suspects wait, and end when
none are left.
"""

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
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from pathlib import Path

from app.worker_progress import StalledWorkers, StallLimits
from core.concurrency.aio import until_beat
from core.environment import inherited_environment
from core.observability import metrics
from core.secrets.handed import handed

log = logging.getLogger(__name__)

type Secrets = Callable[[], Mapping[str, str]]
"""What a worker that starts now gets apart from its environment, by setting."""

ENTRYPOINT = Path(__file__).parents[1] / "entrypoint.py"
RESTART_PAUSE = 1.0
"""Seconds until a worker that died is replaced, so that a crash loop does not use all CPU."""
KILL_AFTER = 5.0
"""Seconds from the end of the grace, or from a second signal, to SIGKILL."""
_STOPPED = (0, -signal.SIGTERM)
"""Exit codes of a stopped worker; the second is that of one without signal handlers yet."""
SUSPECTS_PAUSE = 1.0
"""Seconds between two counts of the waiting suspects."""
SUSPECT_SUFFIX = "-suspects"
"""The end of a suspect worker's id."""
REPORT_SECONDS = 2.0
"""Longest wait for the reports of the last deaths; a later start rescues the runs otherwise."""


@dataclass(frozen=True, slots=True)
class Suspects:
    """`waiting` counts the suspects that are not claimed.

    While none of them is claimed, one more process is started after `patience` s, up to `most`
    processes.
    """

    waiting: Callable[[], Awaitable[int]]
    patience: float
    most: int
    pause: float = SUSPECTS_PAUSE


class SuspectWorkerPolicy:
    """Decides after each count of the suspects whether one more suspect worker is started."""

    def __init__(self, patience: float, most: int) -> None:
        """The parameters are those of `Suspects`."""
        self._patience = patience
        self._most = most
        self._waiting = 0
        self._moved = 0.0
        self._at_once = True

    def needs_one(self, waiting: int, running: int, now: float) -> bool:
        """True if the caller must start one, and include it in `running` from now on."""
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
        """Allow the next one to start at once, because one has died.

        One that ended with exit code 0 although suspects wait could claim none of them, because of
        an unusable key in Redis. Then the next one starts after `patience` s.
        """
        self._at_once = True


class Supervisor:
    """Runs `count` processes of one command, with a worker id as the last argument of each.

    A worker reads its standard input and ends at the end of the input, so no worker outlives this
    process. A line on it requests a reload. Each worker has a session of its own: a signal from a
    terminal, such as Ctrl-C, reaches this process alone, which passes it on in `stop`.
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
        secrets: Secrets = dict,
        restart_pause: float = RESTART_PAUSE,
        kill_after: float = KILL_AFTER,
    ) -> None:
        """`worker_died` gets the id of each worker that ended without being stopped.

        `process_ended` gets the pid of every process that has ended. For `suspects`, further
        processes are started, with `--suspects` before the id. A worker reports progress over the
        file descriptor `PROGRESS_FD`; without progress it is killed as `stalls` says. It gets
        each of the `secrets` of its start over a descriptor, whose number is in the variable of
        that name.
        """
        self._secrets = secrets
        self._given: dict[str, Set[str]] = {}
        self._command = command
        self.count = count
        """The number of normal workers when all run."""
        self._worker_died = worker_died
        self._environment = dict(environment)
        self._process_ended = process_ended
        self._suspects = suspects
        self._restart_pause = restart_pause
        self._kill_after = kill_after
        self._stalled = StalledWorkers(stalls)
        self._processes: dict[str, Process] = {}
        self._tasks: list[asyncio.Task[None]] = []
        self._suspect_tasks: set[asyncio.Task[None]] = set()
        self._stopping = asyncio.Event()

    @property
    def complete(self) -> bool:
        """Whether every normal worker runs and makes progress."""
        return self.running == self.count and all(map(_is_for_suspects, self._stalled.ids))

    @property
    def ids(self) -> list[str]:
        """The ids of all workers that run, suspect workers included."""
        return list(self._processes)

    @property
    def stalled(self) -> int:
        """Number of workers that run without progress, suspect workers included."""
        return len(self._stalled.ids)

    @property
    def running(self) -> int:
        """Number of normal workers that run."""
        return len(self._processes) - self.suspect_workers

    @property
    def suspect_workers(self) -> int:
        """Number of suspect workers that run."""
        return sum(map(_is_for_suspects, list(self._processes)))

    async def run(self) -> None:
        """Keep the workers running until `stop`."""
        self._tasks = [asyncio.create_task(self._keep_worker()) for _ in range(self.count)]
        if self._suspects:
            self._tasks.append(asyncio.create_task(self._run_suspect_workers(self._suspects)))
        self._tasks.append(asyncio.create_task(self._watch_progress()))
        await asyncio.gather(*self._tasks)

    async def _watch_progress(self) -> None:
        while not self._stopping.is_set():
            await self._stalled.check(self._processes)
            await self._pause(until_beat(self._stalled.interval))

    async def _keep_worker(self) -> None:
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
        await self._pause(self._restart_pause)

    async def _pause(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._stopping.wait()

    async def _run_suspect_workers(self, suspects: Suspects) -> None:
        """Start suspect workers until `stop`, then return when all of them have ended."""
        policy = SuspectWorkerPolicy(suspects.patience, suspects.most)
        while not self._stopping.is_set():
            waiting = await suspects.waiting()
            if policy.needs_one(waiting, len(self._suspect_tasks), time.monotonic()):
                task = asyncio.create_task(self._run_suspect_worker(policy))
                self._suspect_tasks.add(task)
                task.add_done_callback(self._suspect_tasks.discard)
            await self._pause(until_beat(suspects.pause))
        await asyncio.gather(*self._suspect_tasks)

    async def _run_suspect_worker(self, policy: SuspectWorkerPolicy) -> None:
        worker_id = _new_id() + SUSPECT_SUFFIX
        if (code := await self._run_one(worker_id, "--suspects")) != 0:
            await self._died(worker_id, code)
            policy.died()

    async def _run_one(self, worker_id: str, *options: str) -> int | None:
        """Run one process to its end; its exit code, or None if it could not be started."""
        page, secrets = self._stalled.page_for(worker_id), self._secrets()
        try:
            process = await self._started(page.descriptor, secrets, *options, worker_id)
        except OSError as error:  # no memory or process is available
            log.error("worker cannot be started", extra={"error": str(error)})  # noqa: TRY400 -- says all there is
            self._stalled.ended(worker_id)
            return None
        self._processes[worker_id], self._given[worker_id] = process, frozenset(secrets)
        try:
            if self._stopping.is_set() or self._lacks_secrets(worker_id):
                _send(process, signal.SIGTERM)
            return await process.wait()
        finally:
            del self._processes[worker_id], self._given[worker_id]
            self._stalled.ended(worker_id)
            self._process_ended(process.pid)

    async def _started(self, progress: int, secrets: Mapping[str, str], *words: str) -> Process:
        given = {"PROGRESS_FD": str(progress)}
        with contextlib.ExitStack() as kept:
            for name, secret in secrets.items():
                for descriptor in kept.enter_context(handed(secret)):
                    given[name] = str(descriptor)
            return await asyncio.create_subprocess_exec(
                *self._command,
                *words,
                stdin=asyncio.subprocess.PIPE,
                env=self._environment | given,
                pass_fds=tuple(map(int, given.values())),
                start_new_session=True,
            )

    def signal(self, signum: signal.Signals) -> None:
        """Send a signal to every worker that runs."""
        for process in self._processes.values():
            _send(process, signum)

    def reload(self) -> None:
        """Request a reload of the configuration from every worker, including starting ones.

        One that was started without a secret that is needed now ends its runs, and is replaced: it
        must not run steps of the law without.
        """
        for worker_id, process in self._processes.items():
            if self._lacks_secrets(worker_id):
                _send(process, signal.SIGTERM)
            elif process.stdin is not None:
                process.stdin.write(b"reload\n")

    def _lacks_secrets(self, worker_id: str) -> bool:
        return not self._secrets().keys() <= self._given.get(worker_id, set())

    async def stop(self, grace: float, hurry: asyncio.Event) -> None:
        """Send SIGTERM to every worker, and again when `hurry` is set.

        Workers that still run `KILL_AFTER` s after the grace, or after the second signal, are
        killed.
        """
        self._stopping.set()
        self.signal(signal.SIGTERM)
        with self._beside(self._hurried(hurry)):
            await self._ended(grace + self._kill_after)
        self.signal(signal.SIGKILL)
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=REPORT_SECONDS)

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
        await asyncio.sleep(self._kill_after)
        self.signal(signal.SIGKILL)


def workers(
    count: int,
    worker_died: Callable[[str], Awaitable[None]],
    process_ended: Callable[[int], None],
    variables: Mapping[str, Path | str],
    suspects: Suspects,
    stalls: StallLimits,
    secrets: Secrets,
) -> Supervisor:
    """A supervisor of this service's workers.

    Their environment is this process's without the withheld secrets, and `variables`. They read no
    `.env`, because this process has read it. They get what `secrets` returns when they
    start apart from it: see `Supervisor`.
    """
    changes = {"ENV_FILE": "", **{name: str(path) for name, path in variables.items()}}
    return Supervisor(
        [sys.executable, str(ENTRYPOINT), "worker"],
        count,
        worker_died,
        environment=inherited_environment() | changes,
        process_ended=process_ended,
        suspects=suspects,
        stalls=stalls,
        secrets=secrets,
    )


def _is_for_suspects(worker_id: str) -> bool:
    return worker_id.endswith(SUSPECT_SUFFIX)


def _new_id() -> str:
    return f"{socket.gethostname()}-{os.getpid()}-{uuid.uuid4().hex[:8]}"


def _send(process: Process, signum: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):  # it has just ended
        process.send_signal(signum)
