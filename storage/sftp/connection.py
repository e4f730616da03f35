"""One connection to a server for all calls of an event loop, replaced when it was lost.

SFTP carries many requests at once over a connection, so that vCons that are saved at the same time
do not wait for each other.
"""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import asyncssh

from lib.web import http_client
from lib.web.http_retry import VendorError
from storage.sftp.options import Options, trusted

KEEPALIVE = 5
"""Seconds without data until the server is asked whether it is there; three times, then it is not.

A connection that a firewall has forgotten is thus replaced."""
LONGEST_TEXT = 200
_LOST = (
    asyncssh.ConnectionLost,
    asyncssh.SFTPConnectionLost,
    asyncssh.SFTPNoConnection,
    asyncssh.ChannelOpenError,
    ConnectionError,
)


async def call[T](options: Options, work: Callable[[asyncssh.SFTPClient], Awaitable[T]]) -> T:
    """The result of `work`, which is repeated if a connection that was in use before is lost.

    Raises:
        VendorError: for errors of the connection and of the server.
    """
    kept: _Connection = http_client.kept(("sftp", options), lambda: _Connection(options))
    try:
        async with asyncio.timeout(options.timeout):
            return await kept.run(work)
    except (asyncssh.Error, OSError) as error:
        host = options.server().host
        text = _text(options, error, kept.presented)
        raise VendorError(f"{host}: {text}", peer_failed=_peer_failed(error)) from None


class _Client(asyncssh.SSHClient):
    """Knows fingerprints, and which key a server without a known one has presented."""

    def __init__(self, fingerprints: frozenset[str]) -> None:
        self._fingerprints = fingerprints
        self.presented = ""

    def validate_host_public_key(
        self, host: str, addr: str, port: int, key: asyncssh.SSHKey
    ) -> bool:
        self.presented = key.get_fingerprint()
        return self.presented in self._fingerprints


class _Connection:
    def __init__(self, options: Options) -> None:
        self._options = options
        self._opening = asyncio.Lock()
        self._connection: asyncssh.SSHClientConnection | None = None
        self._client: asyncssh.SFTPClient | None = None
        self.presented = ""

    async def run[T](self, work: Callable[[asyncssh.SFTPClient], Awaitable[T]]) -> T:
        """The result of `work`."""
        is_new = self._client is None
        client = await self._opened()
        try:
            return await work(client)
        except _LOST:
            if is_new:
                raise
            self._drop(client)
        return await work(await self._opened())

    async def aclose(self) -> None:
        """Close the connection."""
        connection, self._connection, self._client = self._connection, None, None
        if connection is not None:
            connection.close()
            await connection.wait_closed()

    def _drop(self, client: asyncssh.SFTPClient) -> None:
        if client is self._client:  # otherwise another call has replaced it already
            if self._connection is not None:
                self._connection.abort()
            self._connection = self._client = None

    async def _opened(self) -> asyncssh.SFTPClient:
        async with self._opening:
            if self._client is None:
                connection = await self._connect()
                try:
                    self._client = await connection.start_sftp_client(
                        path_errors="surrogateescape"  # others' files may have names of any kind
                    )
                except BaseException:
                    connection.abort()
                    raise
                self._connection = connection
            return self._client

    async def _connect(self) -> asyncssh.SSHClientConnection:
        options, server = self._options, self._options.server()
        client = _Client(frozenset(options.host_key))
        try:
            return await asyncssh.connect(
                server.host,
                server.port,
                client_factory=lambda: client,
                username=options.username,
                password=options.password.get_secret_value() or None,
                client_keys=await asyncio.to_thread(_private_keys, options),
                known_hosts=await asyncio.to_thread(_known_hosts, options),
                connect_timeout=options.timeout,
                login_timeout=options.timeout,
                keepalive_interval=KEEPALIVE,
                # Only what the options name: neither the user's keys and agent, nor his settings.
                config=None,
                agent_path=None,
                gss_host=None,
            )
        finally:
            self.presented = client.presented


def _private_keys(options: Options) -> list[asyncssh.SSHKey] | None:
    if not options.private_key_file:
        return options.keys() or None
    word = options.passphrase.get_secret_value() or None
    try:
        return [asyncssh.read_private_key(Path(options.private_key_file).expanduser(), word)]
    except (OSError, asyncssh.KeyImportError, asyncssh.KeyEncryptionError) as error:
        raise ValueError(f"private_key_file: {_short(error)}") from None


def _known_hosts(options: Options) -> Any:
    """What `asyncssh.connect` takes; None means that any key is good."""
    if not options.verify_host_key:
        return None
    if options.host_key:
        return (trusted(options.host_key), [], [])
    try:
        return Path(options.known_hosts).expanduser().read_bytes()
    except FileNotFoundError:
        return ([], [], [])
    except OSError as error:
        raise ValueError(f"known_hosts: {_short(error)}") from None


def _text(options: Options, error: Exception, presented: str) -> str:
    """What failed, and what to do."""
    if isinstance(error, asyncssh.HostKeyNotVerifiable):
        where = "host_key" if options.host_key else f"known_hosts ({options.known_hosts})"
        return (
            f"the server's key {presented} is not a known one; if it is the right one, put it into "
            f"{where}"
        )
    if isinstance(error, asyncssh.PermissionDenied):
        return f"the login of {options.username} was refused"
    if isinstance(error, TimeoutError):
        return f"no answer within {options.timeout:g} seconds"
    return f"{type(error).__name__}: {_short(error)}"


def _short(error: Exception) -> str:
    text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return " ".join(text.split())[:LONGEST_TEXT]


def _peer_failed(error: Exception) -> bool:
    """Whether the server did not answer; a refusal is an answer."""
    return isinstance(error, (*_LOST, OSError))
