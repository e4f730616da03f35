"""Finds and signals the processes of a running service, through `/proc`."""

import asyncio
import os
import select
import signal
from dataclasses import dataclass
from pathlib import Path

from devstack.chaos.waiting import CEILING_SECONDS, ChaosError


@dataclass(frozen=True, slots=True)
class WorkerProcess:
    """A worker: its process id, and its id in Redis."""

    pid: int
    worker_id: str

    def kill(self) -> None:
        """Send SIGKILL; returns before the process has ended."""
        send(self.pid, signal.SIGKILL)


def workers_of(service_pid: int) -> list[WorkerProcess]:
    """The current worker processes of a service."""
    try:
        children = Path(f"/proc/{service_pid}/task/{service_pid}/children").read_text().split()
    except OSError:
        return []
    found = ((int(child), _arguments(int(child))) for child in children)
    return [WorkerProcess(pid, words[-1]) for pid, words in found if "worker" in words]


def _arguments(pid: int) -> list[str]:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text().rstrip("\0").split("\0")
    except OSError:
        return []


def send(pid: int, signum: signal.Signals) -> bool:
    """Send a signal; False if the process does not exist."""
    try:
        os.kill(pid, signum)
    except ProcessLookupError:
        return False
    return True


async def gone(*pids: int) -> None:
    """Return when all these processes have ended.

    Raises:
        ChaosError: if one of them does not end.
    """
    for pid in pids:
        await asyncio.to_thread(_wait_for_end, pid)


def _wait_for_end(pid: int) -> None:
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        ended, _, _ = select.select([descriptor], [], [], CEILING_SECONDS)
    finally:
        os.close(descriptor)
    if not ended:
        msg = f"process {pid} to end: it goes on"
        raise ChaosError(msg)
