"""Vendors' hosts whose names modules have in their code: a proxy leads them to stand-ins."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

from devstack.servers.ports import HOST
from tests.integration.support.tls_fixtures import passed_on

REFUSED = b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n"


@asynccontextmanager
async def hosts(folder: Path, ports: Mapping[str, int]) -> AsyncIterator[dict[str, str]]:
    """The environment of a program that finds these hosts at ports of this machine.

    Other hosts are refused: such a program calls nothing else by HTTPS.
    """
    import trustme

    authority, context = trustme.CA(), ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert(*ports).configure_cert(context)
    trusted = folder / "authority.pem"
    authority.cert_pem.write_to_path(str(trusted))

    async def served(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        host = head.split()[1].decode().rpartition(":")[0]
        if not head.startswith(b"CONNECT ") or host not in ports:
            writer.write(REFUSED)
            writer.close()
            return
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        await writer.start_tls(context)
        theirs, ours = await asyncio.open_connection(HOST, ports[host])
        await asyncio.gather(passed_on(reader, ours), passed_on(theirs, writer))

    async with await asyncio.start_server(served, HOST, 0) as server:
        proxy = "http://{}:{}".format(*server.sockets[0].getsockname())
        trust = dict.fromkeys(("REQUESTS_CA_BUNDLE", "SSL_CERT_FILE"), str(trusted))
        ours = dict.fromkeys(("NO_PROXY", "no_proxy"), HOST)
        yield {"HTTPS_PROXY": proxy, "https_proxy": proxy, **ours, **trust}
