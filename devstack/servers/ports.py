"""Finds free ports. Another program may take one before the server listens, hence the retries.

A port is free until its server listens, which takes a second on a busy machine, and while it is
restarted. So that no two processes of ours choose the same one meanwhile, each has a share of the
ports to itself. A share belongs to the process that has bound the socket of its name, an abstract
one: the kernel frees it when the process ends, and it is known where the ports are, in the same
network namespace.
"""

import os
import secrets
import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from functools import cache
from itertools import cycle

from devstack.errors import PortTakenError

HOST = "127.0.0.1"
TRIES = 5
# Below the range from which the kernel serves outgoing connections: a server that restarts on its
# port does not find it in use as some client's end.
CHOICE = range(20_000, 32_000)
SHARE = 100
"""How many ports a process has to itself; it offers the same again after so many others."""


def free_port() -> int:
    """Returns a TCP port of the loopback interface on which no process listens.

    Raises:
        OSError: if all ports of this process are in use.
    """
    numbers = _numbers(os.getpid())
    for left in reversed(range(SHARE)):
        try:
            with socket.create_server((HOST, next(numbers))) as probe:
                return int(probe.getsockname()[1])
        except OSError:
            if not left:
                raise
    raise AssertionError


@cache
def _numbers(_process: int) -> Iterator[int]:
    """The ports of a process, again and again; of all ports if each share has its process."""
    for first in _from_anywhere(CHOICE[::SHARE]):
        holder = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        with suppress(OSError):
            holder.bind(f"\0patchcord-ports-{first}")
            holder.detach()  # it stays open until the process ends
            return cycle(_from_anywhere(range(first, first + SHARE)))
        holder.close()
    return cycle(_from_anywhere(CHOICE))


def _from_anywhere(numbers: Sequence[int]) -> list[int]:
    """They begin with any, as what a former process has left may still call the first ones."""
    at = secrets.randbelow(len(numbers))
    return [*numbers[at:], *numbers[:at]]


def on_free_port[Server](launch: Callable[[int], Server], port: int | None = None) -> Server:
    """Returns `launch(port)`; without a port, tries free ones until one works.

    A given port is also retried: the child of a server that was just killed may still use it.

    Raises:
        PortTakenError: if the given port stays in use, or several free ones were taken.
    """
    for _ in range(TRIES):
        try:
            return launch(port or free_port())
        except PortTakenError as error:
            lost = error
    raise lost
