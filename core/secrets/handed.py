"""Hands a secret to a child process, in a file without a name instead of its environment.

A process' environment can be read by all that runs in it and is inherited by what it starts. The
file is in memory, and gone when the child has read it.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def handed(secret: str) -> Iterator[list[int]]:
    """The descriptors that the child inherits: one, or none for an empty secret."""
    if not secret:
        yield []
        return
    descriptor = os.memfd_create("secret")
    try:
        with open(descriptor, "wb", closefd=False) as file:
            file.write(secret.encode())
        os.lseek(descriptor, 0, os.SEEK_SET)
        yield [descriptor]
    finally:
        os.close(descriptor)


def received(descriptor: int) -> str:
    """The secret, in the child; the descriptor is closed.

    Raises:
        OSError: it is no open file.
    """
    with open(descriptor, "rb") as file:
        return file.read().decode()
