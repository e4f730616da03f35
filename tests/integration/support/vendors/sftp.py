"""An SFTP server in a folder: asyncssh's own, real in all but its place."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.canaries import canary
from tests.plugins.scene import Later

asyncssh = Later("asyncssh")
sftp = Later("asyncssh.sftp")

USER = "courier"
PASSWORD = canary("password-of-the-courier-a253")


@dataclass
class SftpServer:
    """`root` is the folder that a login sees as `/`.

    `operations` has the kinds of requests and the names of their files, in the order in which they
    came; a request of a kind in `refused` fails with SFTPFailure. `client_key` is
    the public key that logs in without the password.
    """

    root: Path
    host_key: Any
    posix_rename: bool = True
    client_key: Any = None
    port: int = 0
    logins: int = 0
    operations: list[tuple[str, str]] = field(default_factory=list)
    refused: set[str] = field(default_factory=set)
    connections: list[Any] = field(default_factory=list)

    @property
    def url(self) -> str:
        """Its address."""
        return f"sftp://127.0.0.1:{self.port}"

    @property
    def public_key(self) -> str:
        """The server's key, as in a file of known hosts."""
        return str(self.host_key.export_public_key().decode().strip())

    @property
    def options(self) -> dict[str, Any]:
        """What the storage needs."""
        login = {"username": USER, "password": PASSWORD}
        return {"url": self.url, "host_key": self.public_key, **login}

    def files(self) -> dict[str, bytes]:
        """What is in the folder."""
        found = (path for path in self.root.rglob("*") if path.is_file())
        return {str(path.relative_to(self.root)): path.read_bytes() for path in found}

    def note(self, kind: str, path: bytes) -> None:
        """Note a request, or refuse it."""
        self.operations.append((kind, Path(path.decode(errors="surrogateescape")).name))
        if kind in self.refused:
            raise asyncssh.SFTPFailure("refused by the test")


def _login(server: SftpServer) -> Any:
    """What asyncssh makes for a connection."""

    class Login(asyncssh.SSHServer):  # type: ignore[misc]
        def connection_made(self, connection: Any) -> None:
            server.connections.append(connection)

        def password_auth_supported(self) -> bool:
            return True

        def validate_password(self, username: str, password: str) -> bool:
            server.logins += 1
            return (username, password) == (USER, PASSWORD)

        def public_key_auth_supported(self) -> bool:
            return server.client_key is not None

        def validate_public_key(self, username: str, key: Any) -> bool:
            return username == USER and key == server.client_key

    return Login


def _session(server: SftpServer) -> Any:
    """What asyncssh makes for the SFTP of a connection."""

    def noted(kind: str, *, of: int = 0) -> Any:
        def call(self: Any, *arguments: Any) -> Any:
            server.note(kind, arguments[of])
            return getattr(asyncssh.SFTPServer, kind)(self, *arguments)

        return call

    class Session(asyncssh.SFTPServer):  # type: ignore[misc]
        def __init__(self, channel: Any) -> None:
            super().__init__(channel, chroot=os.fsencode(server.root))

        open, scandir, remove = noted("open"), noted("scandir"), noted("remove")
        rename, posix_rename = noted("rename", of=1), noted("posix_rename", of=1)

    return Session


@asynccontextmanager
async def _extensions_of(server: SftpServer) -> AsyncIterator[None]:
    """Without `posix_rename` no client is told of that extension."""
    handler = sftp.SFTPServerHandler
    offered = handler._extensions
    if not server.posix_rename:
        handler._extensions = [each for each in offered if not each[0].startswith(b"posix-rename")]
    try:
        yield
    finally:
        handler._extensions = offered


@asynccontextmanager
async def sftp_server(
    root: Path, *, posix_rename: bool = True, kind: str = "ssh-ed25519"
) -> AsyncIterator[SftpServer]:
    """A server on a free port; it takes one name with one password."""
    found = SftpServer(root, asyncssh.generate_private_key(kind), posix_rename)
    async with _extensions_of(found):
        listening = await asyncssh.listen(
            "127.0.0.1", 0, server_host_keys=[found.host_key], server_factory=_login(found),
            sftp_factory=_session(found), gss_host=None,
        )  # fmt: skip
        found.port = listening.get_port()
        try:
            yield found
        finally:
            listening.close()
            for connection in found.connections:
                connection.abort()
            await listening.wait_closed()
            for connection in found.connections:
                await connection.wait_closed()
