"""Sockets that servers of this process listen on."""

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
