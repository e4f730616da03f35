"""The SFTP storage on a real server."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from lib.web.http_retry import VendorError
from pipeline.runs.vcon_store import VconStore
from tests.integration.support.vendors.sftp import PASSWORD, SftpServer, sftp_server
from tests.plugins.scene import TAGGED, Later, canonical, connected, sample_names

asyncssh = Later("asyncssh")
sftp = Later("storage.sftp")
VCON = canonical(TAGGED) | {"created_at": "2025-02-28T23:30:00-05:00"}
UUID = VCON["uuid"]
NAME = f"vcon_{UUID}_20250301T043000Z.json"
PLAIN = f"vcon_{UUID}.json"
OTHER = "00000000-0000-8000-8000-000000000000"
CEILING_SECONDS = 60


@pytest.fixture(autouse=True)
async def store(redis_url: str) -> AsyncIterator[VconStore]:
    """A store with one vCon behind the connection that plugins find."""
    async with connected(redis_url) as store, asyncio.timeout(CEILING_SECONDS):
        await store.put(VCON)
        yield store
        await sftp.close()


@pytest.fixture(params=[True, False], ids=["posix-rename", "without"])
async def either(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[SftpServer]:
    """A server with the extension that replaces files, and one without."""
    async with sftp_server(tmp_path, posix_rename=request.param) as server:
        yield server
        await sftp.close()


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[SftpServer]:
    """A server with all extensions."""
    async with sftp_server(tmp_path) as server:
        yield server
        await sftp.close()


async def test_a_repeated_save_replaces_the_file(either: SftpServer, store: VconStore) -> None:
    """One file has the uuid, the time, and the content of the last save."""
    for subject in ("first", "second", "third and longer"):
        await store.put(VCON | {"subject": subject})
        await sftp.save(UUID, either.options)
        assert {name: json.loads(text) for name, text in either.files().items()} == {
            NAME: VCON | {"subject": subject}
        }
    assert either.logins == 1
    renames = {kind for kind, _ in either.operations if "rename" in kind}
    assert renames == {"posix_rename" if either.posix_rename else "rename"}


async def test_a_reader_finds_no_half_of_a_file(either: SftpServer, store: VconStore) -> None:
    """A save whose rename fails leaves the older file; the next one is complete."""
    await sftp.save(UUID, either.options)
    await store.put(VCON | {"subject": "newer"})
    either.refused = {"posix_rename", "remove"}
    with pytest.raises(VendorError, match=r"^127\.0\.0\.1: SFTPFailure: refused by the test$"):
        await sftp.save(UUID, either.options)
    assert json.loads(either.files()[NAME]) == VCON
    assert await sftp.get(UUID, either.options) == VCON
    either.refused = set()
    await sftp.save(UUID, either.options)
    assert list(either.files()) == [NAME]


async def test_a_file_that_another_process_is_about_to_rename_stays_whole(
    either: SftpServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A save of the same content that dies in the middle does not empty it."""
    either.refused = {"posix_rename", "rename", "remove"}
    with pytest.raises(VendorError):
        await sftp.save(UUID, either.options)
    whole = either.files()

    def die(*_: object) -> None:
        raise asyncssh.SFTPFailure("refused by the test")

    monkeypatch.setattr(asyncssh.SFTPServer, "write", die)
    with pytest.raises(VendorError):
        await sftp.save(UUID, either.options)
    assert either.files() == whole
    assert json.loads(*whole.values()) == VCON


async def test_a_file_that_another_process_renames_first(either: SftpServer) -> None:
    """Of the same content: the save writes again; not without end."""
    others = ["", "", ""]
    note = either.note

    def other(kind: str, path: bytes) -> None:
        note(kind, path)
        if "rename" in kind and others:
            others.pop()
            [part] = either.root.glob(".*.part")
            part.replace(either.root / NAME)

    either.note = other  # type: ignore[method-assign]
    with pytest.raises(VendorError, match=r"other processes write or delete .* at the same moment"):
        await sftp.save(UUID, either.options)
    others.append("")
    await sftp.save(UUID, either.options)
    assert {name: json.loads(text) for name, text in either.files().items()} == {NAME: VCON}


async def test_many_saves_of_one_vcon_at_once(server: SftpServer) -> None:
    """One file is there in the end, and no other."""
    await asyncio.gather(*(sftp.save(UUID, server.options) for _ in range(3)))
    assert {name: json.loads(text) for name, text in server.files().items()} == {NAME: VCON}


async def test_every_sample_comes_back(server: SftpServer, store: VconStore) -> None:
    """Equal, each from its own file among all others."""
    samples = {each["uuid"]: each for each in map(canonical, sample_names())}
    for document in samples.values():
        await store.put(document)
    await asyncio.gather(*(sftp.save(uuid, server.options) for uuid in samples))
    for uuid, document in samples.items():
        assert await sftp.get(uuid, server.options) == document
    assert server.logins == 1


async def test_files_of_others_are_left_alone(server: SftpServer) -> None:
    """Also those with nearly the name of the vCon's file."""
    others = [
        f"vcon_{OTHER}.json", f"vcon_{UUID}.jsonx", f"vcon_{UUID}_old.json", f"xvcon_{UUID}.json",
        f"vcon_{UUID}0.json", "vcon_2025-02-28T23:30:00.json", f"{UUID}.json", f"vcon_{UUID}Xjson",
        f".vcon_{UUID}.json.part", f"vcon_{UUID}_20250301T043000Z.json.gz",
    ]  # fmt: skip
    for name in others:
        (server.root / name).write_text(json.dumps(VCON))
    (server.root / os.fsdecode(b"\xff.json")).write_text("a name that is not UTF-8")
    assert await sftp.get(UUID, server.options) is None
    assert await sftp.delete(UUID, server.options) is False
    assert sorted(server.files()) == sorted([*others, os.fsdecode(b"\xff.json")])


async def test_no_pattern_is_made_for_a_vcon(
    server: SftpServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Python would keep hundreds of them, so that memory grew with each vCon."""
    await sftp.save(UUID, server.options)
    monkeypatch.setattr("storage.sftp.re", None)
    assert await sftp.get(UUID, server.options) == VCON
    assert await sftp.delete(UUID, server.options) is True


async def test_delete_takes_all_files_of_the_vcon(server: SftpServer, store: VconStore) -> None:
    """Also older names and unfinished ones: none of its data stays."""
    await sftp.save(UUID, server.options)
    await store.put(VCON | {"created_at": "2026-01-01T00:00:00Z"})
    await sftp.save(UUID, server.options)
    await sftp.save(UUID, server.options | {"add_timestamp_to_filename": False})
    (server.root / f".{NAME}.{'0' * 16}.part").write_text("half")
    await store.put(VCON | {"uuid": OTHER})
    await sftp.save(OTHER, server.options)
    assert len(server.files()) == 5
    assert [await sftp.delete(UUID, server.options) for _ in range(2)] == [True, False]
    assert list(server.files()) == [NAME.replace(UUID, OTHER)]


async def test_the_newest_of_two_names_is_read(server: SftpServer, store: VconStore) -> None:
    """By the time of its writing, not by its name."""
    await sftp.save(UUID, server.options)
    newer = VCON | {"created_at": "2020-01-01T00:00:00Z"}
    await store.put(newer)
    await sftp.save(UUID, server.options)
    os.utime(server.root / NAME, (1, 1))
    assert await sftp.get(UUID, server.options) == newer


async def test_without_a_timestamp_no_folder_is_searched(server: SftpServer) -> None:
    """The name is known; but a file from before the option changed is found, too."""
    options = server.options | {"add_timestamp_to_filename": False}
    await sftp.save(UUID, server.options)
    assert await sftp.get(UUID, options) == VCON
    assert "scandir" in {kind for kind, _ in server.operations}
    await sftp.save(UUID, options)
    server.operations.clear()
    assert await sftp.get(UUID, options) == VCON
    assert server.operations == [("open", PLAIN)]


@pytest.mark.parametrize(
    ("url", "path", "folder"),
    [("{}/calls", ".", "calls"), ("{}/calls/", "2025/", "calls/2025"), ("{}/~/calls", ".", "calls"),
     ("{}", "calls/2025", "calls/2025"), ("{}/other", "/calls", "calls"), ("{}/a%20b", ".", "a b")],
)  # fmt: skip
async def test_the_folder(server: SftpServer, url: str, path: str, folder: str) -> None:
    """Of the URL and the path; it must exist."""
    options = server.options | {"url": url.format(server.url), "path": path}
    with pytest.raises(VendorError, match=r"there is no folder .*; create it, or correct path"):
        await sftp.save(UUID, options)
    assert await sftp.get(UUID, options) is None
    (server.root / folder).mkdir(parents=True)
    await sftp.save(UUID, options)
    assert list(server.files()) == [f"{folder}/{NAME}"]


async def test_a_host_name_with_a_port(server: SftpServer) -> None:
    """As vcon-server's configurations have it."""
    await sftp.save(UUID, server.options | {"url": "127.0.0.1", "port": server.port})
    assert list(server.files()) == [NAME]


async def test_a_vcon_that_is_too_large(server: SftpServer) -> None:
    """It is not written, and one that another program has put there is not read."""
    size = len(json.dumps(VCON))
    options = server.options | {"max_file_size": 100}
    with pytest.raises(ValueError, match=rf"^the vCon {UUID} has \d+ bytes, max_file_size allows"):
        await sftp.save(UUID, options)
    assert not server.files()
    (server.root / NAME).write_text("x" * size)
    with pytest.raises(ValueError, match="more bytes than max_file_size allows"):
        await sftp.get(UUID, options)


async def test_a_vcon_that_is_not_there(server: SftpServer) -> None:
    """An error that says so, and no file; a text that is no uuid makes no name."""
    with pytest.raises(LookupError, match=OTHER):
        await sftp.save(OTHER, server.options)
    for call in (sftp.save, sftp.get, sftp.delete):
        with pytest.raises(ValueError, match="uuid"):
            await call("../../etc/passwd", server.options)
    assert not server.operations


async def test_a_lost_connection_is_replaced(server: SftpServer) -> None:
    """Without an error of the save that finds it lost, or of those beside it."""
    await sftp.save(UUID, server.options)
    [connection] = server.connections
    connection.abort()
    await connection.wait_closed()
    await asyncio.gather(*(sftp.get(UUID, server.options) for _ in range(5)))
    assert server.logins == 2
    assert PASSWORD not in repr(sftp.Options.of(server.options))
