"""In a process that runs modules of others: vendors' names lead to this machine, others nowhere."""

from __future__ import annotations

import json
import os
import socket
from ipaddress import ip_address
from typing import Any

PORTS = "PORTS_OF_VENDORS"
"""The variable with the port of each host, as JSON."""
HERE = "127.0.0.1"


def lead() -> None:
    """Find the hosts in the environment at their ports, and refuse all other names."""
    ports: dict[str, int] = json.loads(os.environ.get(PORTS, "{}"))
    found = socket.getaddrinfo

    def getaddrinfo(host: Any, port: Any, *rest: Any, **named: Any) -> Any:
        if host in ports:
            return found(HERE, ports[host], *rest, **named)
        if not _is_here(host):
            raise socket.gaierror(socket.EAI_NONAME, f"{host} has no stand-in")
        return found(host, port, *rest, **named)

    socket.getaddrinfo = getaddrinfo


def _is_here(host: Any) -> bool:
    if host in (None, "localhost", socket.gethostname()):
        return True
    try:
        return bool(ip_address(host))
    except ValueError:
        return False
