"""Runs one server and makes sure that it ends with its owner. A program of its own.

    python keeper.py FOLDER     (the server's, only to be seen in a list of processes)

The owner holds the other end of this program's standard input, and first writes one line to it: an
`Order` as JSON. It is no argument, because every user of the machine can read those. However the
owner ends, `kill -9` included, the kernel closes that end, and the server is told to stop. The byte
`k` kills the server at once. Should this program itself be killed, the kernel signals the server.
The server's process id is printed first; its exit code becomes this program's.
"""

import ctypes
import json
import os
import select
import signal
import subprocess
import sys
from functools import partial
from typing import TypedDict

STDIN = 0
KILL = b"k"
PR_SET_PDEATHSIG = 1
PRIVATE = 0o077
"""The umask of servers: other users cannot read their files."""


class Order(TypedDict):
    """What to run and how to end it; `grace` is in seconds, `user` and `group` are numeric ids."""

    command: list[str]
    environment: dict[str, str]
    stop_signal: int
    grace: float
    user: int | None
    group: int | None


def end_with_keeper(keeper: int, stop_signal: int) -> None:
    """In the new process: asks the kernel for `stop_signal` when the keeper is gone."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, stop_signal)
    if os.getppid() != keeper:  # gone before the kernel was asked
        os._exit(1)


def launch(order: Order) -> subprocess.Popen[bytes]:
    """Starts the server as the ordered user; what it prints goes where our errors go."""
    return subprocess.Popen(
        order["command"],
        env=order["environment"],
        stdin=subprocess.DEVNULL,
        stdout=sys.stderr,
        user=order["user"],
        group=order["group"],
        umask=PRIVATE,
        extra_groups=None if order["user"] is None else [],
        preexec_fn=partial(  # noqa: PLW1509 - this program has one thread
            end_with_keeper, os.getpid(), order["stop_signal"]
        ),
    )


def ended_children() -> int:
    """Returns a file descriptor that becomes readable when a child of this process ends."""
    readable, writable = os.pipe()
    os.set_blocking(writable, False)
    signal.set_wakeup_fd(writable)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    return readable


def stop(server: subprocess.Popen[bytes], order: Order) -> None:
    """Ends the server: politely, then, after the ordered grace, at once."""
    server.send_signal(order["stop_signal"])
    try:
        server.wait(order["grace"])
    except subprocess.TimeoutExpired:
        server.kill()
        server.wait()


def obey(server: subprocess.Popen[bytes], order: Order) -> None:
    """Reads what the owner says; silence for ever means that the owner is gone or wants a stop."""
    if os.read(STDIN, 1) == KILL:
        server.kill()
        server.wait()
    else:
        stop(server, order)


def read_order() -> Order:
    """Reads the first line of standard input, and no byte more."""
    line = bytearray()
    while not line.endswith(b"\n"):
        if not (byte := os.read(STDIN, 1)):
            sys.exit(1)  # the owner ended before it had written the order
        line += byte
    order: Order = json.loads(line)
    return order


def keep(order: Order) -> int:
    """Runs a server until it or its owner ends; returns its exit code, 128+n for signal n."""
    ended = ended_children()
    server = launch(order)
    print(server.pid, flush=True)
    while server.poll() is None:
        readable, _, _ = select.select([STDIN, ended], [], [])
        if ended in readable:
            os.read(ended, 64)
        if STDIN in readable:
            obey(server, order)
    return server.returncode if server.returncode >= 0 else 128 - server.returncode


if __name__ == "__main__":
    sys.exit(keep(read_order()))
