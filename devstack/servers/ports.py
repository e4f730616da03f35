"""Finding a port. A port found free can be lost before a server listens on it, hence the tries."""

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
    """Returns a TCP port of the loopback interface that nobody listens on just now.

    Raises:
        OSError: a thousand ports were tried in vain.
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
    """Returns `launch(port)`; without a port, tries free ones until none is lost to a race.

    A given port is tried as often: a server that was killed on it a moment ago may have a child
    that has not yet let go of it.

    Raises:
        PortTakenError: the given port stays taken, or several free ones were lost.
    """
    for _ in range(TRIES):
        try:
            return launch(port or free_port())
        except PortTakenError as error:
            lost = error
    raise lost
