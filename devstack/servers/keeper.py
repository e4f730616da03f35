"""Runs one server and stops it when its owner ends; a separate program.

    python keeper.py FOLDER     (the server's folder, only for lists of processes)

The owner holds the other end of this program's standard input, and first writes one line to it: an
`Order` as JSON; not an argument, since all users can read those. When the owner ends, also by
`kill -9`, the kernel closes that end, and the server is stopped. The byte `k` kills the server at
once. If this program is killed, the kernel signals the server.
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
    """The command and how to stop it; `grace` in seconds, `user` and `group` are numeric ids."""

    command: list[str]
    environment: dict[str, str]
    stop_signal: int
    grace: float
    user: int | None
    group: int | None


def end_with_keeper(keeper: int, stop_signal: int) -> None:
    """In the child: requests `stop_signal` from the kernel for the end of the keeper."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, stop_signal)
    if os.getppid() != keeper:  # gone before the kernel was asked
        os._exit(1)


def launch(order: Order) -> subprocess.Popen[bytes]:
    """Starts the server as the given user, with its output to our standard error."""
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
    """Returns a file descriptor that is readable when a child of this process has ended."""
    readable, writable = os.pipe()
    os.set_blocking(writable, False)
    signal.set_wakeup_fd(writable)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    return readable


def stop(server: subprocess.Popen[bytes], order: Order) -> None:
    """Stops the server with its stop signal, and kills it after `grace`."""
    server.send_signal(order["stop_signal"])
    try:
        server.wait(order["grace"])
    except subprocess.TimeoutExpired:
        server.kill()
        server.wait()


def obey(server: subprocess.Popen[bytes], order: Order) -> None:
    """Executes the owner's command; end of input means that the owner has ended or wants a stop."""
    if os.read(STDIN, 1) == KILL:
        server.kill()
        server.wait()
    else:
        stop(server, order)


def read_order() -> Order:
    """Reads exactly the first line of standard input."""
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
