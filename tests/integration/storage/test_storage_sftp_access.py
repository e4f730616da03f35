"""The SFTP storage: which servers it trusts, how it logs in, and what its errors say."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from devstack.servers.ports import free_port
from lib.web.http_retry import VendorError
from tests.canaries import canary
from tests.integration.support.vendors.sftp import PASSWORD, SftpServer, sftp_server
from tests.plugins.scene import TAGGED, Later, canonical, connected

asyncssh = Later("asyncssh")
sftp = Later("storage.sftp")
VCON = canonical(TAGGED)
UUID = VCON["uuid"]
CEILING_SECONDS = 60
WORD = canary("passphrase-of-the-key-93e1")


@pytest.fixture
async def server(tmp_path: Path, redis_url: str) -> AsyncIterator[SftpServer]:
    """A server, and a vCon in Redis."""
    (tmp_path / "root").mkdir()
    async with (
        connected(redis_url) as store,
        asyncio.timeout(CEILING_SECONDS),
        sftp_server(tmp_path / "root") as server,
    ):
        await store.put(VCON)
        yield server
        await sftp.close()


def given(server: SftpServer, **changes: Any) -> dict[str, Any]:
    """Options without a known key of the server, unless the changes have one."""
    return {name: value for name, value in server.options.items() if name != "host_key"} | changes


def fingerprint(server: SftpServer) -> str:
    """Of the server's key."""
    return str(server.host_key.get_fingerprint())


async def test_a_server_that_is_not_known_gets_nothing(server: SftpServer, tmp_path: Path) -> None:
    """Neither the password nor a file; the error names the key that it has."""
    for known in ({"known_hosts": str(tmp_path / "missing")}, {"host_key": f"SHA256:{'A' * 43}"}):
        with pytest.raises(VendorError, match="is not a known one") as caught:
            await sftp.save(UUID, given(server, **known))
        assert fingerprint(server) in str(caught.value)
        assert next(iter(known)) in str(caught.value)
        assert caught.value.peer_failed is False
    assert server.logins == 0
    assert not server.files()


async def test_another_key_of_a_known_server(server: SftpServer, tmp_path: Path) -> None:
    """It is refused, of the same kind and of another."""
    for kind in ("ssh-ed25519", "ecdsa-sha2-nistp256"):
        other = asyncssh.generate_private_key(kind).export_public_key().decode()
        known = tmp_path / kind
        known.write_text(f"[127.0.0.1]:{server.port} {other}")
        with pytest.raises(VendorError):
            await sftp.save(UUID, given(server, known_hosts=str(known)))
        with pytest.raises(VendorError):
            await sftp.save(UUID, given(server, host_key=other))
    assert server.logins == 0


async def test_the_ways_to_know_a_server(server: SftpServer, tmp_path: Path) -> None:
    """A file as ssh has it, a key, a fingerprint, several of them, or, as an option, none."""
    known = tmp_path / "known"
    known.write_text(f"[127.0.0.1]:{server.port} {server.public_key}\n")
    wrong = f"SHA256:{'A' * 43}"
    ways: list[dict[str, Any]] = [
        {"known_hosts": str(known)},
        {"host_key": server.public_key},
        {"host_key": fingerprint(server)},
        {"host_key": [wrong, fingerprint(server)]},
        {"host_key": f"{wrong}\n{server.public_key}\n"},
        {"verify_host_key": False},
    ]
    for number, way in enumerate(ways, start=1):
        await sftp.save(UUID, given(server, **way))
        assert server.logins == number


@pytest.mark.filterwarnings("ignore:.*bcrypt.kdf:UserWarning")
async def test_a_login_with_a_key(server: SftpServer, tmp_path: Path) -> None:
    """As text or as a file, with a passphrase or without; the password is not needed."""
    key = asyncssh.generate_private_key("ssh-ed25519")
    server.client_key = key.convert_to_public()
    plain = key.export_private_key()
    locked = key.export_private_key(passphrase=WORD, rounds=1)  # more take long to open
    (tmp_path / "id").write_bytes(locked)
    base = given(server, host_key=server.public_key) | {"password": ""}
    for way in (
        {"private_key": plain.decode()},
        {"private_key": locked.decode(), "passphrase": WORD},
        {"private_key_file": str(tmp_path / "id"), "passphrase": WORD},
    ):
        await sftp.save(UUID, base | way)
    assert len(server.connections) == 3
    assert server.logins == 0


@pytest.mark.parametrize(
    "change", [{"password": canary("not-the-password-210a")}, {"username": "x"}]
)
async def test_a_refused_login(server: SftpServer, change: dict[str, str]) -> None:
    """An error with the name, and without the password."""
    with pytest.raises(
        VendorError, match=r"^127\.0\.0\.1: the login of \w+ was refused$"
    ) as caught:
        await sftp.save(UUID, server.options | change)
    assert caught.value.peer_failed is False
    assert caught.value.__cause__ is None


async def test_a_key_file_that_cannot_be_read(server: SftpServer, tmp_path: Path) -> None:
    """The error names the option."""
    (tmp_path / "id").write_text("no key")
    for file in ("id", "missing"):
        options = server.options | {"private_key_file": str(tmp_path / file)}
        with pytest.raises(ValueError, match=r"^private_key_file: "):
            await sftp.save(UUID, options)


async def test_a_server_that_is_not_there(server: SftpServer) -> None:
    """It counts against the destination; one that is silent is left after `timeout`."""
    options = server.options | {"url": f"sftp://127.0.0.1:{free_port()}"}
    with pytest.raises(VendorError, match=r"^127\.0\.0\.1: ConnectionRefusedError") as caught:
        await sftp.save(UUID, options)
    assert caught.value.peer_failed is True
    with socket.create_server(("127.0.0.1", 0)) as silent:
        slow = {"url": f"127.0.0.1:{silent.getsockname()[1]}", "timeout": 0.2}
        with pytest.raises(VendorError, match=r"no answer within 0\.2 seconds$") as caught:
            await sftp.save(UUID, server.options | slow)
    assert caught.value.peer_failed is True


@pytest.mark.parametrize(
    ("wrong", "text"),
    [
        ({"password": ""}, "set password, private_key or private_key_file"),
        ({"url": "https://files.example.com"}, "url: must be a host name, or sftp://"),
        ({"url": "sftp://me:secret@files.example.com"}, "url: set the login with username"),
        ({"url": "sftp://files.example.com:2222", "port": 22}, "url has port 2222, and port is 22"),
        ({"filename": "../vcon"}, "filename"),
        ({"extension": "a/b"}, "extension"),
        ({"host_key": "AAAB"}, "host_key"),
        ({"private_key": "AAAB"}, "private_key: "),
        ({"username": None}, "username"),
    ],
)
def test_wrong_options(wrong: dict[str, Any], text: str) -> None:
    """Each is named, without its value."""
    options = {"url": "files.example.com", "username": "me", "password": PASSWORD}
    assert sftp.Options.of(options).server() == ("files.example.com", 22, ".")
    with pytest.raises(ValueError, match=text) as caught:
        sftp.Options.of(options | wrong)
    assert "AAAB" not in str(caught.value)
    assert "secret" not in str(caught.value).replace("private_key", "")
