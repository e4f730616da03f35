"""Backup and restore: what is asked for, and what was done."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

type FileName = Annotated[str, Field(min_length=1, max_length=4096)]


class BackupParameters(BaseModel, defer_build=True):
    """Where the backup is written: a file that does not exist yet, or `-` for standard output."""

    model_config = ConfigDict(extra="forbid")

    file: FileName


class RestoreParameters(BaseModel, defer_build=True):
    """Which backup is restored, `-` for standard input; `dry_run` only checks it.

    `erased`: a file with uuids or statements about erasures, a line each; they are erased again.
    """

    model_config = ConfigDict(extra="forbid")

    file: FileName
    dry_run: bool = False
    erased: FileName | None = None


class BackupPart(BaseModel, defer_build=True):
    """One part of a backup: rows, bytes before compression, and the checksum of these."""

    name: str
    rows: int
    bytes: int
    sha256: str


class BackupContent(BaseModel, defer_build=True):
    """What is in a backup."""

    format: int
    taken_at: str
    """When it began, ISO 8601."""
    version: str
    """Of the service that wrote it."""
    revision: str
    """Of the database's schema."""
    parts: list[BackupPart]
    sha256: str
    """Of the whole file but its last frame."""
    bytes: int


class BackupResult(BaseModel, defer_build=True):
    """A backup that was written."""

    file: str
    seconds: float
    content: BackupContent
    documents: int
    """vCons with a document in Redis."""
    queued: int
    """Places in lists, in flight, delayed or waiting that vCons have."""
    keys: int
    """Other keys of Redis, lists not counted."""
    left_out: dict[str, int]
    """Keys of types that a backup does not know, by type."""


class RestoreResult(BaseModel, defer_build=True):
    """A backup that was restored, or checked with `dry_run`."""

    file: str
    dry_run: bool
    seconds: float
    content: BackupContent
    revision_before: str
    """The revision of the database before; `none` without tables, empty with a refusal."""
    refusal: str | None = None
    """Of a dry run: why the backup cannot be restored into these servers."""
    returned: int
    """Elements that were in flight, waiting, delayed or lent out; 0 of a dry run."""
    steps: list[str]
    """What was done, or would be."""
    erased: int = 0
    """The vCons that were erased before, and are erased again."""
