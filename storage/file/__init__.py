"""Stores vCons as files.

A file is `UUID.json` or `UUID.json.gz`. It is written under a temporary name and then renamed, so
it is never incomplete. Saving again replaces it, also if its location changes because the vCon has
another `created_at` or the options have changed. Missing folders are created; the permissions of
existing folders are not changed.

vCons that a worker saves at the same time are written in one thread, or in several if the disk is
slow. The location of each vCon is recorded in the folder `.lookup`, as the target of a symbolic
link, so that a save need not search the folder of every day. If `path` had files before `.lookup`
was created, or its disk has no symbolic links, a save searches all folders for a vCon whose
location is not recorded.

Reads the vCon, which is stored in the format EGRESS_FORMAT_VERSION; writes nothing to it. Raises
`LookupError` for a vCon that is not in Redis, `ValueError` for a vCon that is too large or an id
that is not a uuid, and `OSError` for errors of the disk.
"""

import asyncio
import gzip
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import orjson
from pydantic import BeforeValidator, Field

from lib.options import PluginOptions
from lib.shared_calls import SharedCalls
from lib.vcon.fields import created_at, day_folder, required_uuid
from lib.vcon_egress_compat import to_configured_legacy
from lib.vcon_redis import AsyncVconRedis, VconRedis
from storage.file import places
from storage.file.threads import in_threads
from storage.file.writing import Draft, Modes, write

only_through_lib = True
effect = "idempotent"


def permissions(value: object) -> int:
    """A file mode from a number, or from text in octal, with or without `0o`.

    Raises:
        ValueError: for anything else, such as the decimal number 644 instead of 0o644.
    """
    try:
        mode = int(value, 8) if isinstance(value, str) else value
    except ValueError:
        mode = None
    if not isinstance(mode, int) or isinstance(mode, bool) or not 0 <= mode <= 0o777:
        raise ValueError('permissions: write them as octal digits, such as "0o644"')
    return mode


Permissions = Annotated[int, BeforeValidator(permissions)]


class Options(PluginOptions):
    """Options of the storage."""

    path: Path = Field(Path("/data/vcons"), description="the folder")
    organize_by_date: bool = Field(
        True, description="whether to use subfolders `YYYY/MM/DD` of the vCon's `created_at` in UTC"
    )
    compression: bool = Field(False, description="whether to compress files with gzip")
    max_file_size: int = Field(
        10_485_760, description="the maximum bytes of JSON; a larger vCon is refused"
    )
    file_permissions: Permissions = Field(
        0o640,
        description="the mode of files; octal, as number or text",
        json_schema_extra={"octal": True},
    )
    dir_permissions: Permissions = Field(
        0o750,
        description="the mode of created folders; octal, as number or text",
        json_schema_extra={"octal": True},
    )
    fsync: bool = Field(
        False,
        description="+ whether to flush each file to the disk before a save returns, which "
        "protects it against a power cut",
    )

    @property
    def modes(self) -> Modes:
        """How files and folders are created."""
        return Modes(self.file_permissions, self.dir_permissions, self.fsync)


type Given = Mapping[str, Any] | Options | None


def save(vcon_uuid: str, opts: Given = None) -> None:
    """Write the vCon's current content in Redis, and remove the file that it replaces."""
    options, name = Options.of(opts), required_uuid(vcon_uuid)
    draft = _draft(name, VconRedis().required_vcon_dict(vcon_uuid), options)
    [error] = _written(options, [draft])
    if error is not None:
        raise error


async def save_together(vcon_uuid: str, opts: Given = None) -> None:
    """`save` for callers on the event loop: those that wait share a thread."""
    options, name = Options.of(opts), required_uuid(vcon_uuid)
    document = await AsyncVconRedis().required_vcon_dict(vcon_uuid)
    if options.compression:  # 5 MB take 0.2 s
        draft = await asyncio.to_thread(_draft, name, document, options)
    else:
        draft = _draft(name, document, options)
    await _together(options, draft)


def get(vcon_uuid: str, opts: Given = None) -> dict[str, Any] | None:
    """The vCon as last saved, or None."""
    files = _files(vcon_uuid, opts)
    if not files:
        return None
    newest = max(files, key=lambda file: file.stat().st_mtime_ns)
    content = newest.read_bytes()
    document = orjson.loads(gzip.decompress(content) if newest.suffix == ".gz" else content)
    return document if isinstance(document, dict) else None


def delete(vcon_uuid: str, opts: Given = None) -> bool:
    """Delete the vCon; False if there was none. Empty folders are kept."""
    files = _files(vcon_uuid, opts)
    for file in files:
        file.unlink(missing_ok=True)
    places.forget(Options.of(opts).path, required_uuid(vcon_uuid))
    return bool(files)


def exists(vcon_uuid: str, opts: Given = None) -> bool:
    """Whether the vCon is stored; for plugins that ask the storage themselves."""
    return bool(_files(vcon_uuid, opts))


def list_vcons(opts: Given = None, limit: int = 100, offset: int = 0) -> list[str]:
    """The uuids of stored vCons, the last written first; looks at every file of the folder."""
    if limit < 1 or offset < 0:
        return []
    return places.newest(Options.of(opts).path, limit + offset)[offset:]


def _draft(name: str, document: dict[str, Any], options: Options) -> Draft:
    return Draft(name, _place(document, name, options), _content(document, options))


def _content(document: dict[str, Any], options: Options) -> bytes:
    text = orjson.dumps(to_configured_legacy(document))
    limit = options.max_file_size
    if len(text) > limit:
        raise ValueError(f"the vCon has {len(text)} bytes, max_file_size allows {limit}")
    return gzip.compress(text, mtime=0) if options.compression else text


def _place(document: dict[str, Any], name: str, options: Options) -> str:
    """The file's location relative to `path`; it depends on `created_at` and the uuid only."""
    made = created_at(document) if options.organize_by_date else None
    day = "" if made is None else f"{day_folder(made)}/"
    return f"{day}{name}{places.SUFFIXES[options.compression]}"


def _files(vcon_uuid: str, opts: Given) -> list[Path]:
    """The files of a vCon, in the folder itself or in the folder of any day."""
    return places.files(Options.of(opts).path, required_uuid(vcon_uuid))


def _written(options: Options, drafts: Sequence[Draft]) -> list[Exception | None]:
    """Write files in the calling thread; the error of each, or None."""
    path, modes = str(options.path), options.modes
    recorded = [places.recorded(options.path, each.name, modes) for each in drafts]
    errors = write(path, drafts, modes)
    for number, (draft, old) in enumerate(zip(drafts, recorded, strict=True)):
        if errors[number] is None and old != draft.place:
            try:
                places.replace(options.path, draft.name, old, draft.place, modes)
            except OSError as error:
                errors[number] = error
    return errors


async def _write_together(options: Options, drafts: Sequence[Draft]) -> list[Exception | None]:
    return await in_threads(options.path, lambda some: _written(options, some), drafts)


_together: SharedCalls[Options, Draft] = SharedCalls(
    _write_together,
    server="the disk",
    most_items=64,
    most_bytes=16 * 1024 * 1024,
    bytes_of=lambda draft: len(draft.content),
    name_of=lambda draft: draft.name,
    calls=4,
)
