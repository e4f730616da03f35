"""Sockets that servers of this process listen on."""

import errno
import socket


def listening_socket(host: str, port: int, backlog: int) -> socket.socket:
    """A non-blocking socket; `::` also takes IPv4 where the system allows it.

    Raises:
        OSError: the port is in use, or the host is no address of this machine.
    """
    listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(backlog)
    except OSError:
        listener.close()
        raise
    listener.setblocking(False)
    return listener


def refused(group: str, host: str, port: int, error: OSError) -> str:
    """The problem of the settings `group`_HOST or `group`_PORT, which this error shows."""
    if isinstance(error, socket.gaierror) or error.errno == errno.EADDRNOTAVAIL:
        return f"{group}_HOST: {host} is no address of this machine: {error.strerror}"
    return f"{group}_PORT: cannot listen on {port}: {error.strerror}"
