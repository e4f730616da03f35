"""`wss://` behind a certificate authority that only the operator knows."""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import trustme

from devstack.servers.ports import free_port
from tests.integration.support.consumer import Attempts, consumer
from tests.integration.support.plugboard_scene import PATIENCE
from tests.integration.support.stream_server import accepted_connections
from tests.unit.support.actions_for_tests import Echo


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    """A certificate authority of this file's own."""
    return trustme.CA()


@pytest.fixture
def authority_file(authority: trustme.CA, tmp_path: Path) -> Path:
    """The file that SSL_CERT_FILE would name."""
    path = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(path))
    return path


@contextlib.asynccontextmanager
async def encrypted(authority: trustme.CA, name: str, port: int) -> AsyncIterator[str]:
    """A TLS server with a certificate for `name` before a plain server; its WebSocket URL."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(name).configure_cert(context)
    pipes: set[asyncio.Task[None]] = set()

    async def copy(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while chunk := await source.read(65536):
                target.write(chunk)
            target.close()

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        inside = await asyncio.open_connection("127.0.0.1", port)
        for source, target in ((reader, inside[1]), (inside[0], writer)):
            pipes.add(asyncio.create_task(copy(source, target)))

    server = await asyncio.start_server(accept, "127.0.0.1", 0, ssl=context)
    try:
        yield f"wss://localhost:{server.sockets[0].getsockname()[1]}/websocket"
    finally:
        server.close()
        await accepted_connections()
        async with asyncio.timeout(PATIENCE):
            await asyncio.gather(*pipes)


async def test_a_private_authority_is_trusted_when_named(
    authority: trustme.CA, authority_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With SSL_CERT_FILE the client serves over TLS."""
    monkeypatch.setenv("SSL_CERT_FILE", str(authority_file))
    port = free_port()
    async with (
        encrypted(authority, "localhost", port) as url,
        consumer(Echo, port=port, websocket_url=url) as running,
    ):
        await running.serves()


@pytest.mark.parametrize(
    ("name", "known", "words"),
    [
        ("localhost", False, "unable to get local issuer certificate"),
        ("plugboard.example", True, "Hostname mismatch"),
    ],
)
async def test_an_untrusted_certificate_is_logged_and_tried_again(
    authority: trustme.CA,
    authority_file: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    name: str,
    known: bool,
    words: str,
) -> None:
    """An unknown authority or another server's name: no connection, and one line says why."""
    monkeypatch.delenv("SSL_CERT_FILE", raising=False)
    if known:
        monkeypatch.setenv("SSL_CERT_FILE", str(authority_file))
    port, attempts = free_port(), Attempts()
    async with (
        encrypted(authority, name, port) as url,
        consumer(Echo, port=port, websocket_url=url, reconnect=attempts.backoff) as running,
    ):
        await attempts.further(3)
        assert not running.client.joined
        assert not running.running.done()
    errors = [str(each.__dict__.get("error")) for each in caplog.records]
    [line] = [error for error in errors if "certificate" in error]
    assert words in line
    assert "SSL_CERT_FILE" in line
