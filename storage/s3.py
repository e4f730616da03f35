"""Stores vCons in a bucket of Amazon S3, or of a compatible server.

A vCon is the object `YYYY/MM/DD/UUID.vcon`, with the day of its `created_at`, and `lookup/UUID.txt`
contains that day; both are below `s3_path` if it is set. Saving again replaces them, also if
`created_at` has changed: the object of the old day is deleted. The layout is vcon-server's, so an
existing bucket can be used. Each process has one client per set of options. The keys are optional
if AWS provides credentials to the machine, and `AWS_ENDPOINT_URL` applies without `endpoint_url`.

The required permissions are `s3:PutObject`, `s3:GetObject` and `s3:DeleteObject` on the objects and
`s3:ListBucket` on the bucket. Without the last one S3 answers 403 instead of 404 for an object that
does not exist. A save then logs a warning and continues, although an older object may remain; `get`
and `delete` fail with an error that names the permission. In a bucket with versioning, replaced and
deleted objects remain as old versions until the bucket's lifecycle rules remove them.

Reads the vCon, writes nothing to it. Raises `LookupError` for a vCon that is not in Redis,
`ValueError` for an id that is not a uuid, `PermissionError` if S3 answers 403 to a read, and
botocore's errors if S3 refuses a request otherwise or cannot be reached, after botocore's two
retries (mode `standard`).
"""

import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson
from botocore.exceptions import ClientError
from pydantic import Field

from lib import effects
from lib.s3_client import S3Options, client, close
from lib.vcon.fields import created_at, day_folder, required_uuid
from lib.vcon_egress_compat import to_configured_legacy
from lib.vcon_redis import VconRedis

__all__ = ["Options", "close", "delete", "effect", "get", "only_through_lib", "save"]

only_through_lib = True
effect = "idempotent"
EFFECT_KEY = "effect-key"
"""The metadata of an object with the key of the step that wrote it."""

log = logging.getLogger(__name__)


class Options(S3Options):
    """Options of the storage."""

    aws_bucket: str = Field(min_length=1, description="an existing bucket")
    s3_path: str = Field("", description="the prefix of all keys in the bucket")

    def key(self, name: str) -> str:
        """The key of an object under `s3_path`."""
        folder = self.s3_path.strip("/")
        return f"{folder}/{name}" if folder else name


_GZIP = b"\x1f\x8b"

type Given = Mapping[str, Any] | Options | None


@dataclass(frozen=True, slots=True)
class _Lookup:
    """The content of `lookup/UUID.txt`: the day of the current object, and all days with an object.

    The text is the day, as in vcon-server. While a save moves a vCon to another day, the metadata
    `days` has both days, so that a later save or delete finds both objects if the process dies in
    between.
    """

    day: str | None = None
    days: frozenset[str] = frozenset()


def save(vcon_uuid: str, opts: Given = None) -> None:
    """Write the vCon's current content in Redis, and delete its objects under other days."""
    options, name = Options.of(opts), required_uuid(vcon_uuid)
    document = VconRedis().required_vcon_dict(vcon_uuid)
    day, found = _day(document), _lookup_to_replace(options, name)
    replaced = found.days - {day}
    if found.day is None or replaced:
        _put_lookup(options, name, found.day or day, found.days | {day})
    body = orjson.dumps(to_configured_legacy(document))
    _put(options, _object(day, name), body, "application/json", {EFFECT_KEY: effects.key()})
    if replaced:
        _put_lookup(options, name, day, found.days | {day})
        _delete(options, (_object(old, name) for old in replaced))
        _put_lookup(options, name, day, {day})


def get(vcon_uuid: str, opts: Given = None) -> dict[str, Any] | bytes | None:
    """The vCon as last saved, or None; gzip written by another program is returned as bytes."""
    options, name = Options.of(opts), required_uuid(vcon_uuid)
    day = _lookup(options, name).day
    content = day and _content(options, _object(day, name))
    if content and content.startswith(_GZIP):
        return content  # the service decompresses it, with its size limit
    document = orjson.loads(content) if content else None
    return document if isinstance(document, dict) else None


def delete(vcon_uuid: str, opts: Given = None) -> bool:
    """Delete the vCon's objects under all days; False if there was none."""
    options, name = Options.of(opts), required_uuid(vcon_uuid)
    found = _lookup(options, name)
    if found.day is None:
        return False
    _delete(options, (_object(day, name) for day in found.days))
    _delete(options, [_lookup_key(name)])
    return True


def _day(document: dict[str, Any]) -> str:
    """The day of `created_at` in the time zone of its own text, as in vcon-server."""
    try:
        made = datetime.fromisoformat(document["created_at"])
    except (KeyError, TypeError, ValueError):
        made = created_at(document) or datetime.fromtimestamp(0).astimezone()
    return day_folder(made)


def _object(day: str, name: str) -> str:
    return f"{day}/{name}.vcon"


def _lookup_key(name: str) -> str:
    return f"lookup/{name}.txt"


def _lookup_to_replace(options: Options, name: str) -> _Lookup:
    """The objects that a save replaces; empty on 403, since the vCon must be stored anyway."""
    try:
        return _lookup(options, name)
    except PermissionError as error:
        log.warning(
            "older object not searched",
            extra={"storage": "storage.s3", "vcon": name, "error": str(error)},
        )
        return _Lookup()


def _lookup(options: Options, name: str) -> _Lookup:
    answer = _get(options, _lookup_key(name))
    if answer is None:
        return _Lookup()
    with answer["Body"] as stream:
        day = stream.read().decode().strip()
    return _Lookup(day, frozenset([day, *answer["Metadata"].get("days", "").split()]))


def _put_lookup(options: Options, name: str, day: str, days: Iterable[str]) -> None:
    more = " ".join(sorted(set(days) - {day}))
    metadata = {"days": more} if more else {}
    _put(options, _lookup_key(name), day.encode(), "text/plain", metadata)


def _put(
    options: Options, name: str, body: bytes, kind: str, metadata: Mapping[str, str] | None = None
) -> None:
    where = {"Bucket": options.aws_bucket, "Key": options.key(name)}
    client(options).put_object(**where, Body=body, ContentType=kind, Metadata=metadata or {})


def _delete(options: Options, names: Iterable[str]) -> None:
    for name in names:
        client(options).delete_object(Bucket=options.aws_bucket, Key=options.key(name))


def _content(options: Options, name: str) -> bytes | None:
    answer = _get(options, name)
    if answer is None:
        return None
    with answer["Body"] as stream:
        content: bytes = stream.read()
        return content


def _get(options: Options, name: str) -> dict[str, Any] | None:
    """The answer to a read with its body not yet read; None if the object does not exist.

    Raises:
        PermissionError: if S3 answers 403.
    """
    key = options.key(name)
    try:
        answer: dict[str, Any] = client(options).get_object(Bucket=options.aws_bucket, Key=key)
    except ClientError as error:
        if error.response["Error"]["Code"] in ("NoSuchKey", "404"):
            return None
        if error.response["ResponseMetadata"]["HTTPStatusCode"] == 403:
            raise PermissionError(
                f"S3 answered 403 for {key}: grant s3:GetObject, and s3:ListBucket, without which "
                "S3 answers 403 also for an object that does not exist"
            ) from error
        raise
    return answer
