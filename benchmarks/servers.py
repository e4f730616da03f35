"""The servers for the benchmarks."""

from collections.abc import Iterator
from contextlib import contextmanager

from redis import Redis

from devstack.servers.stack import EmbeddedStack


@contextmanager
def servers(appendfsync: str = "everysec", *, disk: bool = False) -> Iterator[EmbeddedStack]:
    """The embedded stack; Postgres waits for the disk at each commit only with `disk`.

    With `always` a bare loop waits for the disk at each command, and a worker once per batch, which
    favours the worker.
    """
    with EmbeddedStack(fsync=disk) as stack:
        with Redis.from_url(stack.valkey.url) as client:
            client.config_set("appendfsync", appendfsync)
        yield stack
