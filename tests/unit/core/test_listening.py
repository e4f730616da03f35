"""Sockets of the process's servers, and what is said where they cannot be opened."""

import socket

import pytest

from core.listening import listening_socket, refused


@pytest.mark.parametrize("host", ["nope.invalid", "192.0.2.1"])
def test_a_host_that_is_not_of_this_machine_is_told_as_the_host(host: str) -> None:
    """A name that does not resolve, and an address of documentation that no machine has."""
    with pytest.raises(OSError, match=r"\w") as raised:
        listening_socket(host, 0, 1)
    problem = refused("API", host, 8000, raised.value)
    assert problem.startswith(f"API_HOST: {host} is no address of this machine: ")


def test_a_port_in_use_is_told_as_the_port() -> None:
    """With the system's reason."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(OSError, match="in use") as raised:
            listening_socket("127.0.0.1", port, 1)
    problem = refused("HEALTH", "127.0.0.1", port, raised.value)
    assert problem == f"HEALTH_PORT: cannot listen on {port}: Address already in use"
