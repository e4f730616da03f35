"""The workers of a forked service: forked as well, on uvloop, too, which starts processes in C."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
from asyncio.base_subprocess import BaseSubprocessTransport
from asyncio.subprocess import PIPE, Process, SubprocessStreamProtocol
from typing import Any

from tests.prepared.becoming import CommandLine, close_all_but
from tests.prepared.orders import Facts, Order, replace_starts
from tests.prepared.origin import Requests, adopt_orphans

LIMIT = 2**16
"""Bytes of a stream's buffer, as asyncio's own."""


def expected(order: Order) -> bool:
    """Whether the program is one that starts workers."""
    return order.is_service and order.command[2:3] in ([], ["serve"], ["api"])


def stand_aside(control: socket.socket, line: CommandLine) -> None:
    """In the process that only forks: hold no file but the socket, and get no signal for groups."""
    nothing = os.open(os.devnull, os.O_RDWR)
    for number in range(3):
        os.dup2(nothing, number)
    os.setsid()
    close_all_but({0, 1, 2, control.fileno()})
    line.replace(["forks the workers of a service of the tests"])


def install(control: socket.socket, facts: Facts) -> None:
    """In the service: ask that process for workers."""
    adopt_orphans()
    replace_starts(Requests(control, facts).start)
    execute = asyncio.create_subprocess_exec

    async def started(*command: str, **more: Any) -> Process:
        if command[2:3] != ("worker",) or more.get("stdin") != PIPE:
            return await execute(*command, **more)
        return await _start(command, **more)

    asyncio.create_subprocess_exec = started  # type: ignore[assignment]


class _Transport(BaseSubprocessTransport):
    """asyncio's own, for any event loop: by `subprocess` and `pidfd_open`."""

    def _start(
        self,
        args: Any,
        shell: bool,
        stdin: Any,
        stdout: Any,
        stderr: Any,
        bufsize: int,
        **more: Any,
    ) -> None:
        self._proc = subprocess.Popen(
            args, shell=shell, stdin=stdin, stdout=stdout, stderr=stderr, bufsize=bufsize, **more
        )
        self._ended = os.pidfd_open(self._proc.pid)
        self._loop.add_reader(self._ended, self._exited)

    def _exited(self) -> None:
        self._loop.remove_reader(self._ended)
        os.close(self._ended)
        self._process_exited(self._proc.wait())


async def _start(command: tuple[str, ...], *, stdin: int, **more: Any) -> Process:
    loop = asyncio.get_running_loop()
    protocol = SubprocessStreamProtocol(limit=LIMIT, loop=loop)
    waiter = loop.create_future()
    transport = _Transport(
        loop, protocol, command, False, stdin, None, None, 0, waiter=waiter, **more
    )
    await waiter
    return Process(transport, protocol, loop)
