"""`rediss+sentinel://`: sentinels and servers behind TLS, whose certificates are verified.

The servers of the development stack have no TLS. Each is behind an end of TLS that is written here,
and those before the sentinels exchange the servers' ports in the replies for those of their ends.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager

import pytest

from core.errors import UnavailableError
from devstack.servers.folders import temporary_folder
from devstack.servers.ports import HOST
from devstack.servers.sentinels import Sentinels
from pipeline.redis_client.client import RedisConnection
from pipeline.redis_client.driver.pools import RedisAccess
from tests.integration.support.tls_fixtures import Certificates

CEILING = 120.0


class Ends:
    """The ends of TLS before a group; `open` has the port of each by the port behind it."""

    def __init__(self, group: Sentinels, certificates: Certificates) -> None:
        self.group = group
        self.open: dict[int, int] = {}
        self.handshakes: list[int] = []
        """The ports behind the connections that were made."""
        self._context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        self._context.load_cert_chain(certificates.pem)

    @property
    def url(self) -> str:
        """The address for `REDIS_URL`."""
        hosts = ",".join(f"{HOST}:{self.open[port]}" for port in self.group.ports)
        return (
            self.group.url.partition("://")[0].replace("redis", "rediss") + f"://{hosts}/mymaster/0"
        )

    @asynccontextmanager
    async def before(self, port: int, exchanged: Mapping[int, int]) -> AsyncIterator[None]:
        """The end before one server, in whose replies ports are exchanged."""

        async def served(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            self.handshakes.append(port)
            theirs, ours = await asyncio.open_connection(HOST, port)
            await asyncio.gather(passed_on(reader, ours, {}), passed_on(theirs, writer, exchanged))

        server = await asyncio.start_server(served, HOST, 0, ssl=self._context)
        self.open[port] = server.sockets[0].getsockname()[1]
        yield
        server.close()


async def passed_on(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, exchanged: Mapping[int, int]
) -> None:
    """Write all that is read; ports have five digits, so that lengths stay what they are."""
    try:
        while content := await reader.read(65536):
            for port, other in exchanged.items():
                content = content.replace(b"\r\n%d\r\n" % port, b"\r\n%d\r\n" % other)
            writer.write(content)
            await writer.drain()
    except OSError:
        pass
    finally:
        writer.close()


@pytest.fixture
async def ends(certificates: Certificates) -> AsyncIterator[Ends]:
    """A group of servers with an end of TLS before each."""
    with temporary_folder() as folder:
        group = await asyncio.to_thread(Sentinels(folder).__enter__)
        try:
            async with AsyncExitStack() as running:
                found = Ends(group, certificates)
                servers = (group.primary.port, group.replica.port)
                for port in servers:
                    await running.enter_async_context(found.before(port, {}))
                exchanged = {port: found.open[port] for port in servers}
                for port in group.ports:
                    await running.enter_async_context(found.before(port, exchanged))
                yield found
        finally:
            await asyncio.to_thread(group.__exit__, None, None, None)


async def test_sentinels_and_servers_are_reached_by_tls(
    ends: Ends, certificates: Certificates
) -> None:
    """Also after a promotion, from the event loop and from threads; others are refused."""
    servers = {ends.group.primary.port, ends.group.replica.port}
    access = RedisAccess(ca_file=str(certificates.trusted))
    redis = RedisConnection(ends.url, access=access)
    async with asyncio.timeout(CEILING):
        assert await redis.command("RPUSH", "before", "x") == 1
        assert await asyncio.to_thread(redis.command_from_thread, "LLEN", "before") == 1
        assert set(ends.handshakes) & servers == {ends.group.primary.port}
        assert set(ends.handshakes) & set(ends.group.ports)
        await asyncio.to_thread(ends.group.wait_until_in_sync)
        await asyncio.to_thread(ends.group.fail_over)
        await asyncio.to_thread(ends.group.wait_until_in_sync)  # the former primary takes no writes
        assert await redis.insist(lambda: redis.command("RPUSH", "after", "x")) == 1
        assert await asyncio.to_thread(redis.command_from_thread, "LLEN", "after") == 1
    await redis.close()
    with ends.group.client(ends.group.primary) as client:
        assert (client.llen("before"), client.llen("after")) == (1, 1)
    assert set(ends.handshakes) >= servers
    other = RedisConnection(ends.url, access=RedisAccess(ca_file=str(certificates.untrusted)))
    reached = len(ends.handshakes)
    with pytest.raises(UnavailableError):
        await other.command("PING")
    await other.close()
    assert len(ends.handshakes) == reached
