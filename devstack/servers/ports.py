"""Finds free ports. Another program may take one before the server listens, hence the retries."""

import secrets
import socket
from collections.abc import Callable
from itertools import count

from devstack.errors import PortTakenError

HOST = "127.0.0.1"
TRIES = 5
# Below the range from which the kernel serves outgoing connections: a server that restarts on its
# port does not find it in use as some client's end.
CHOICE = range(20_000, 32_000)


def free_port() -> int:
    """Returns a TCP port of the loopback interface on which no process listens.

    Raises:
        OSError: if a thousand ports are in use.
    """
    for tried in count(1):
        try:
            with socket.create_server((HOST, secrets.choice(CHOICE))) as probe:
                return int(probe.getsockname()[1])
        except OSError:
            if tried == 1000:
                raise
    raise AssertionError


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
