"""Stores vCons as files on an SFTP server.

A file is `vcon_UUID_20250228T233000Z.json` in an existing folder, with the uuid and the
`created_at` of the vCon; `filename`, `extension` and `add_timestamp_to_filename` change that. It is
written under a name of its own and then renamed, so that a reader of the folder never finds half of
one. Saving again replaces the file; on a server without the extension `posix-rename@openssh.com`
the older one is removed a moment before. If `created_at` has changed, the file with the older name
remains beside the new one until the vCon is deleted. Each process has one connection per set of
options.

The server's key must be in `known_hosts`, or be given as `host_key`. An error about another key
names its fingerprint.

Better than vcon-server's, which cannot save, and reads the file of another vCon: the uuid is a part
of the name, so `get` and `delete` use the files of their own vCon only. They search the folder, and
take its time; without `add_timestamp_to_filename`, `get` needs no search. Files without a uuid,
which vcon-server was meant to write, are left alone.

Reads the vCon, which is stored in the format EGRESS_FORMAT_VERSION; writes nothing to it. Raises
`LookupError` for a vCon that is not in Redis, `ValueError` for an id that is not a uuid, for a vCon
that is too large and for unreadable key files, and `VendorError` for errors of the server and of
the connection.
"""

import contextlib
import hashlib
import re
from collections.abc import AsyncIterator, Mapping
from typing import Any

import asyncssh
import orjson

from lib.options import PluginOptions
from lib.plain_calls import plain_too
from lib.vcon.fields import created_at, required_uuid
from lib.vcon_egress_compat import to_configured_legacy
from lib.vcon_redis import AsyncVconRedis
from lib.web import http_client
from lib.web.http_retry import VendorError
from storage.sftp.connection import call
from storage.sftp.options import Options

__all__ = ["Options", "close", "delete", "effect", "get", "only_through_lib", "save"]

only_through_lib = True
effect = "idempotent"

WITHOUT_EMPTYING = asyncssh.FXF_WRITE | asyncssh.FXF_CREAT
ROUNDS = 3
"""How often a file is written that another process renames or deletes at the same moment."""

_MOMENT = re.compile(r"(_\d{8}T\d{6}Z)?", re.ASCII)
_UNFINISHED = re.compile(r"\.(.*)\.[0-9a-f]{16}\.part", re.DOTALL)

type Document = dict[str, Any]
type Given = Mapping[str, Any] | PluginOptions | None


@plain_too
async def save(vcon_uuid: str, opts: Given = None) -> None:
    """Write the vCon's current content in Redis."""
    options, uuid = Options.of(opts), required_uuid(vcon_uuid)
    document = await AsyncVconRedis().required_vcon_dict(vcon_uuid)
    content = orjson.dumps(to_configured_legacy(document))
    if len(content) > options.max_file_size:
        size = f"{len(content)} bytes, max_file_size allows {options.max_file_size}"
        raise ValueError(f"the vCon {uuid} has {size}")
    name = _name(document, uuid, options)
    await call(options, lambda client: _write(client, options.server().folder, name, content))


@plain_too
async def get(vcon_uuid: str, opts: Given = None) -> Document | None:
    """The vCon as last saved, or None."""
    options, uuid = Options.of(opts), required_uuid(vcon_uuid)
    content = await call(options, lambda client: _read(client, uuid, options))
    document = orjson.loads(content) if content else None
    return document if isinstance(document, dict) else None


@plain_too
async def delete(vcon_uuid: str, opts: Given = None) -> bool:
    """Delete all files of the vCon, also unfinished ones; False if there was none."""
    options, uuid = Options.of(opts), required_uuid(vcon_uuid)
    return await call(options, lambda client: _remove(client, uuid, options))


async def close() -> None:
    """Close the connections of this event loop; the next call makes new ones."""
    await http_client.close("sftp")


def _name(document: Document, uuid: str, options: Options) -> str:
    made = created_at(document) if options.add_timestamp_to_filename else None
    moment = "" if made is None else f"_{made.year:04}{made:%m%dT%H%M%SZ}"
    return f"{_start(uuid, options)}{moment}.{options.extension}"


def _start(uuid: str, options: Options) -> str:
    return f"{options.filename}_{uuid}" if options.filename else uuid


async def _write(client: asyncssh.SFTPClient, folder: str, name: str, content: bytes) -> None:
    """Write a file under another name and rename it.

    The other name has a hash of the content: a repetition uses it again, and two writers of
    different contents do not write into one file. Two of the same content may, so it is not emptied
    before: the first renames a whole file, which the second does not change, and then the second
    finds nothing to rename and writes again.
    """
    digest = hashlib.sha256(content).hexdigest()[:16]
    temporary, target = f"{folder}/.{name}.{digest}.part", f"{folder}/{name}"
    for _ in range(ROUNDS):
        try:
            file = await client.open(temporary, WITHOUT_EMPTYING, encoding=None)
        except asyncssh.SFTPNoSuchFile:
            text = f"there is no folder {folder} on the server; create it, or correct path"
            raise VendorError(text) from None
        async with file:
            await file.write(content)
        if await _is_renamed(client, temporary, target):
            return
    raise VendorError(f"other processes write or delete {target} at the same moment")


async def _is_renamed(client: asyncssh.SFTPClient, temporary: str, target: str) -> bool:
    """False if another process has renamed at the same moment."""
    try:
        await client.posix_rename(temporary, target)
    except asyncssh.SFTPNoSuchFile:
        return False
    except asyncssh.SFTPOpUnsupported:
        await _remove_file(client, target)  # version 3 of SFTP renames to free names only
        try:
            await client.rename(temporary, target)
        except asyncssh.SFTPNoSuchFile:
            return False
        except asyncssh.SFTPFailure:
            if not await client.exists(target):
                raise
            return False
    return True


async def _read(client: asyncssh.SFTPClient, uuid: str, options: Options) -> bytes | None:
    folder = options.server().folder
    if not options.add_timestamp_to_filename:
        content = await _content(client, f"{folder}/{_name({}, uuid, options)}", options)
        if content is not None:
            return content
    found = [entry async for entry in _files(client, uuid, options) if not _is_unfinished(entry)]
    if not found:
        return None
    newest = max(found, key=lambda entry: (entry.attrs.mtime or 0, str(entry.filename)))
    return await _content(client, f"{folder}/{newest.filename!s}", options)


async def _content(client: asyncssh.SFTPClient, path: str, options: Options) -> bytes | None:
    try:
        async with client.open(path, "rb") as file:
            content: Any = await file.read(options.max_file_size + 1)
    except asyncssh.SFTPNoSuchFile:
        return None
    if len(content) > options.max_file_size:
        raise ValueError(f"{path} has more bytes than max_file_size allows")
    return bytes(content)


async def _remove(client: asyncssh.SFTPClient, uuid: str, options: Options) -> bool:
    folder, found = options.server().folder, False
    for entry in [entry async for entry in _files(client, uuid, options)]:
        await _remove_file(client, f"{folder}/{entry.filename!s}")
        found = found or not _is_unfinished(entry)
    return found


async def _remove_file(client: asyncssh.SFTPClient, path: str) -> None:
    with contextlib.suppress(asyncssh.SFTPNoSuchFile):
        await client.remove(path)


async def _files(
    client: asyncssh.SFTPClient, uuid: str, options: Options
) -> AsyncIterator[asyncssh.SFTPName]:
    """The vCon's files, also unfinished ones; none in a folder that does not exist."""
    start, end = _start(uuid, options), f".{options.extension}"
    try:
        async for entry in client.scandir(options.server().folder):
            name = str(entry.filename)
            unfinished = _UNFINISHED.fullmatch(name)
            if _is_between(start, name, end) or (
                unfinished and _is_between(start, unfinished[1], end)
            ):
                yield entry
    except asyncssh.SFTPNoSuchFile:
        return


def _is_between(start: str, name: str, end: str) -> bool:
    """Whether a name has nothing but a moment between the two.

    No pattern has the uuid in it: `re` would keep hundreds of them.
    """
    middle = name.removeprefix(start).removesuffix(end)
    return name == f"{start}{middle}{end}" and _MOMENT.fullmatch(middle) is not None


def _is_unfinished(entry: asyncssh.SFTPName) -> bool:
    return str(entry.filename).endswith(".part")
