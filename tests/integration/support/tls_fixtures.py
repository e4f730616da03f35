"""A certificate authority of the tests' own, and what it has issued."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from devstack.servers.ports import HOST


@dataclass(frozen=True)
class Certificates:
    """Files in PEM: whom to trust, whom not to, and a server's certificate with its key."""

    trusted: Path
    untrusted: Path
    pem: Path


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    """Of a server at 127.0.0.1."""
    import trustme

    folder = tmp_path_factory.mktemp("certificates")
    authority, other = trustme.CA(), trustme.CA()
    made = Certificates(*(folder / name for name in ("trusted", "untrusted", "server")))
    authority.cert_pem.write_to_path(str(made.trusted))
    other.cert_pem.write_to_path(str(made.untrusted))
    issued = authority.issue_cert(HOST)
    issued.private_key_and_cert_chain_pem.write_to_path(str(made.pem))
    return made


async def passed_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Write all that is read, until the end."""
    with contextlib.suppress(ConnectionError):
        while content := await reader.read(65536):
            writer.write(content)
    writer.close()


@asynccontextmanager
async def tls_before(host: str, port: int, certificates: Certificates) -> AsyncIterator[int]:
    """The port of a server that ends TLS and passes all on to one that has none."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificates.pem)

    async def served(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        theirs, ours = await asyncio.open_connection(host, port)
        await asyncio.gather(passed_on(reader, ours), passed_on(theirs, writer))

    async with await asyncio.start_server(served, HOST, 0, ssl=context) as server:
        yield server.sockets[0].getsockname()[1]
