"""Backup and restore, as operations of the command line.

A backup holds conversations and hashes of keys; its file is readable by its owner only. A restore
reads the whole backup before it writes anything: sums, revision, whether both servers are empty.
Postgres' rows are committed after Redis has taken everything: if Redis fails, the database is still
empty, and only Redis has to be emptied before another try.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, BinaryIO

from core.concurrency.thread_pool import in_own_thread
from core.db.backup import (
    CopiedTable,
    Restoration,
    check_sequence,
    check_table,
    check_target,
    migrate,
    restoration,
    snapshot,
)
from core.errors import ConflictError, InvalidError, PatchcordError, UnavailableError
from core.settings import DatabaseSettings
from core.version import VERSION
from pipeline.operator.backup.files import readable, written
from pipeline.operator.backup.format import FORMAT, Part, Reader, Totals, Writer
from pipeline.operator.backup.list_reader import ListReader
from pipeline.operator.backup.redis_reader import VconReader
from pipeline.operator.backup.redis_writer import RedisWriter, check_empty
from pipeline.operator.backup.rows import check_row
from pipeline.operator.backup.state_reader import StateReader
from pipeline.redis_client.client import RedisConnection
from schemas.operator.backup import (
    BackupContent,
    BackupParameters,
    BackupPart,
    BackupResult,
    RestoreParameters,
    RestoreResult,
)

LISTS, KEYS, VCONS, LAST, SEQUENCES = "lists", "keys", "vcons", "last", "sequences"
TABLE = "table:"
LAID_AT_ONCE = 500
"""Tombstones of one script."""
TOLD_EVERY = 2.0
"""Seconds between two lines of progress."""

type Tell = Callable[[str], None]
"""Takes a line of progress."""


class _Progress:
    """Lines of progress, a few at most."""

    def __init__(self, tell: Tell) -> None:
        self._tell = tell
        self._told_at = time.monotonic()

    def __call__(self, what: str, count: int) -> None:
        now = time.monotonic()
        if now - self._told_at >= TOLD_EVERY:
            self._told_at = now
            self._tell(f"{what}: {count}")


@dataclass(slots=True)
class _Counts:
    documents: int = 0
    queued: int = 0
    keys: int = 0
    left_out: dict[str, int] = field(default_factory=dict)


class Backups:
    """Writes and restores backups of Redis and Postgres."""

    def __init__(self, redis: RedisConnection, settings: DatabaseSettings, sorted_set: str) -> None:
        """`sorted_set`: the name of the index by time."""
        self._redis = redis
        self._settings = settings
        self._sorted_set = sorted_set

    async def backup(self, asked: BackupParameters, tell: Tell) -> BackupResult:
        """Write a backup; the service may work meanwhile.

        Raises:
            ConflictError: the file exists.
            InvalidError: the file cannot be written.
            UnavailableError: Redis or Postgres cannot be reached.
        """
        began = time.monotonic()
        revision = await in_own_thread(self._revision)
        header = {
            "taken_at": datetime.now(UTC).isoformat(timespec="milliseconds"),
            "version": VERSION,
            "revision": revision,
            "keys": int(await self._redis.command("DBSIZE")),
        }
        with written(asked.file) as out:
            file = Writer(out, header)
            counts = await self._write_redis(file, _Progress(tell))
            await in_own_thread(self._write_tables, file, revision, tell)
            digest = file.finish()
        content = _content({"format": FORMAT, **header}, file.parts, digest, file.size)
        result = BackupResult(
            file=asked.file,
            seconds=time.monotonic() - began,
            content=content,
            documents=counts.documents,
            queued=counts.queued,
            keys=counts.keys,
            left_out=counts.left_out,
        )
        tell(f"{counts.documents} vCons, {counts.queued} queued; SHA-256 {digest}")
        return result

    def _revision(self) -> str:
        with snapshot(self._settings) as tables:
            return tables.revision

    async def _write_redis(self, file: Writer, progress: _Progress) -> _Counts:
        """The order of the parts is explained at the head of `redis_reader.py`."""
        with file.part(LISTS) as part:
            await ListReader(self._redis, part, progress).read()
        with file.part(KEYS) as part:
            state = StateReader(self._redis, part, progress)
            await state.read()
        with file.part(VCONS) as part:
            vcons = VconReader(self._redis, self._sorted_set, part, progress)
            await vcons.read()
        with file.part(LAST) as part:
            await StateReader(self._redis, part, progress).read_last()
        return _Counts(vcons.documents, vcons.queued, state.keys, dict(state.unreadable))

    def _write_tables(self, file: Writer, revision: str, tell: Tell) -> None:
        with snapshot(self._settings) as taken:
            if taken.revision != revision:
                raise ConflictError("the database was migrated meanwhile: take the backup again")
            for table in taken.tables():
                with file.part(TABLE + table.name, columns=list(table.columns)) as part:
                    for piece in taken.copy_out(table):
                        part.raw(piece, piece.count(b"\n"))
                    tell(f"table {table.name}: {part.totals.rows} rows")
            with file.part(SEQUENCES) as part:
                for name, value, used in taken.sequences():
                    part.row(name, value, int(used))

    async def restore(self, asked: RestoreParameters, tell: Tell) -> RestoreResult:
        """Restore a backup into an empty Redis and an empty database, or only check that.

        A dry run where the service works checks the backup, and tells why it could not be restored
        there.

        Raises:
            InvalidError: the backup cannot be restored; nothing was written.
            ConflictError: Redis or the database is not empty; nothing was written.
            UnavailableError: Redis or Postgres cannot be reached.
        """
        began = time.monotonic()
        with readable(asked.file) as file:
            tell("reading the whole backup")
            content = await in_own_thread(_verified, file)
            before, refusal, returned = "", None, 0
            try:
                before = await in_own_thread(check_target, self._settings, content.revision)
                await self._check_redis()
            except ConflictError as error:
                if not asked.dry_run:
                    raise
                refusal = str(error)
            if not asked.dry_run:
                returned = await self._restore(file, content, tell)
        return RestoreResult(
            file=asked.file,
            dry_run=asked.dry_run,
            seconds=time.monotonic() - began,
            content=content,
            revision_before=before,
            refusal=refusal,
            returned=returned,
            steps=list(_steps(content, before)),
        )

    async def _check_redis(self) -> None:
        if found := await check_empty(self._redis):
            named = ", ".join(name[:80] for name in found)
            msg = f"Redis is not empty (it has {named}): stop every service, and restore into an"
            raise ConflictError(f"{msg} empty Redis; FLUSHDB empties it")

    async def _restore(self, file: BinaryIO, content: BackupContent, tell: Tell) -> int:
        await in_own_thread(migrate, self._settings, content.revision)
        redis = RedisWriter(self._redis, self._sorted_set)
        with restoration(self._settings) as database:
            tell("Postgres")
            await in_own_thread(_fill, database, file)
            tell("Redis")
            try:
                await _write(redis, file)
                await self._refuse(await in_own_thread(database.tombstones))
            except PatchcordError as error:
                msg = f"{error}; Postgres is unchanged, Redis has a part of the backup: empty it"
                kind = UnavailableError if isinstance(error, UnavailableError) else InvalidError
                raise kind(msg) from error
        await in_own_thread(migrate, self._settings)
        return redis.returned

    async def _refuse(self, tombstones: Sequence[tuple[str, str]]) -> None:
        """Refuse what was erased while the backup was written: Redis is read before Postgres."""
        for at in range(0, len(tombstones), LAID_AT_ONCE):
            words = [word for pair in tombstones[at : at + LAID_AT_ONCE] for word in pair]
            await self._redis.script("lay_tombstones", "", *words)


async def _write(redis: RedisWriter, file: BinaryIO) -> None:
    for wanted in ((KEYS, VCONS, LAST), (LISTS,)):
        for part in _parts(file):
            if part.name in wanted:
                await redis.write(part.rows())
            else:
                part.skip()
    await redis.finish()


def _fill(database: Restoration, file: BinaryIO) -> None:
    for part in _parts(file):
        if part.name.startswith(TABLE):
            database.copy_in(_table(part), part.data())
        elif part.name == SEQUENCES:
            for name, value, used in part.rows():
                database.set_sequence(name, int(value), used=used == "1")
        else:
            part.skip()


def _table(part: Part) -> CopiedTable:
    columns = part.about.get("columns")
    names = [str(each) for each in columns] if isinstance(columns, list) else []
    return CopiedTable(part.name.removeprefix(TABLE), names)


def _parts(file: BinaryIO) -> Iterator[Part]:
    file.seek(0)
    yield from Reader(file).parts()


def _verified(file: BinaryIO) -> BackupContent:
    """Read everything.

    Raises:
        InvalidError: something is wrong with the backup.
    """
    file.seek(0)
    reader = Reader(file)
    parts = dict[str, Totals]()
    for part in reader.parts():
        if part.name.startswith(TABLE):
            check_table(_table(part))
            for piece in part.data():
                part.totals.rows += piece.count(b"\n")
        elif part.name == SEQUENCES:
            for row in part.rows():
                check_sequence(row)
        else:
            for row in part.rows():
                check_row(row)
        parts[part.name] = part.totals
    if missing := {LISTS, KEYS, VCONS, LAST, SEQUENCES} - parts.keys():
        msg = f"the backup has no part {', '.join(sorted(missing))}: it cannot be restored"
        raise InvalidError(msg)
    return _content(reader.header, parts, reader.sha256, file.tell())


def _content(header: Any, parts: dict[str, Totals], digest: str, size: int) -> BackupContent:
    return BackupContent(
        format=header["format"],
        taken_at=str(header.get("taken_at")),
        version=str(header.get("version")),
        revision=str(header.get("revision")),
        parts=[
            BackupPart(name=name, rows=each.rows, bytes=each.bytes, sha256=each.sha256)
            for name, each in parts.items()
        ],
        sha256=digest,
        bytes=size,
    )


def _steps(content: BackupContent, before: str) -> Iterator[str]:
    if before != content.revision:
        yield f"migrate the database to revision {content.revision}"
    for part in content.parts:
        if part.name.startswith(TABLE):
            yield f"fill table {part.name.removeprefix(TABLE)}: {part.rows} rows"
    for part in content.parts:
        if part.name in (KEYS, VCONS, LAST, LISTS):
            yield f"write {part.name} to Redis: {part.rows} rows"
    yield "return what was in flight, waiting or lent out to its lists"
    yield "migrate the database to the newest revision of this version"
