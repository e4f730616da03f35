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
import os
import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal
from urllib.parse import urlsplit

import boto3
import orjson
from botocore.config import Config
from botocore.exceptions import ClientError
from pydantic import Field, SecretStr

from lib.options import PluginOptions
from lib.vcon_egress_compat import to_configured_legacy
from lib.vcon_fields import created_at, day_folder, required_uuid
from lib.vcon_redis import VconRedis
from lib.web import http_client

only_through_lib = True

log = logging.getLogger(__name__)

CONNECT_TIMEOUT = 10
"""Seconds to wait for a connection."""
AMAZON = (".amazonaws.com", ".amazonaws.com.cn", ".api.aws")
"""The domains of Amazon's own servers."""

type Checksums = Literal["when_required", "when_supported"]


class Options(PluginOptions):
    """Options of the storage."""

    aws_access_key_id: SecretStr = Field(SecretStr(""), description="the access key id")
    aws_secret_access_key: SecretStr = Field(SecretStr(""), description="the secret access key")
    aws_bucket: str = Field(min_length=1, description="an existing bucket")
    aws_region: str = Field("", description="the bucket's region")
    endpoint_url: str = Field("", description="the server's URL, if it is not Amazon's")
    s3_path: str = Field("", description="the prefix of all keys in the bucket")
    timeout: float = Field(60, gt=0, description="+ seconds without data from the server")
    checksums: Checksums | None = Field(
        None,
        description="+ whether requests and answers have checksums: `when_supported`, the default "
        "for Amazon, or `when_required`, the default for other servers, many of which refuse "
        "checksums",
    )
    connections: int | None = Field(
        None,
        ge=1,
        description="+ the connections of one process that are kept open; by default one for each "
        "vCon that a worker runs at once, at least 10",
    )

    def key(self, name: str) -> str:
        """The key of an object under `s3_path`."""
        folder = self.s3_path.strip("/")
        return f"{folder}/{name}" if folder else name


_GZIP = b"\x1f\x8b"

type Given = Mapping[str, Any] | Options | None

_lock = threading.Lock()
_clients: dict[tuple[int, Options], Any] = {}


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
    document = VconRedis().get_vcon_dict(vcon_uuid)
    if document is None:
        raise LookupError(f"there is no vCon {vcon_uuid} in Redis")
    day, found = _day(document), _lookup_to_replace(options, name)
    replaced = found.days - {day}
    if found.day is None or replaced:
        _put_lookup(options, name, found.day or day, found.days | {day})
    body = orjson.dumps(to_configured_legacy(document))
    _put(options, _object(day, name), body, "application/json")
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


def close() -> None:
    """Close the clients of this process; the next call makes new ones."""
    with _lock:
        for client in _clients.values():
            client.close()
        _clients.clear()


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
    _client(options).put_object(**where, Body=body, ContentType=kind, Metadata=metadata or {})


def _delete(options: Options, names: Iterable[str]) -> None:
    for name in names:
        _client(options).delete_object(Bucket=options.aws_bucket, Key=options.key(name))


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
        answer: dict[str, Any] = _client(options).get_object(Bucket=options.aws_bucket, Key=key)
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


def _client(options: Options) -> Any:
    """The process's client for these options, made at the first call."""
    key = (os.getpid(), options)
    with _lock:
        if key not in _clients:
            _clients[key] = _made(options)
        return _clients[key]


def _made(options: Options) -> Any:
    """A client; without the option `checksums`, it sends them to Amazon's servers only."""
    if options.checksums is not None or options.endpoint_url:
        return _new_client(options, options.checksums or "when_required")
    client = _new_client(options, None)
    if (urlsplit(client.meta.endpoint_url).hostname or "").endswith(AMAZON):
        return client
    client.close()  # AWS_ENDPOINT_URL or a profile names another server
    return _new_client(options, "when_required")


def _new_client(options: Options, checksums: Checksums | None) -> Any:
    given = {
        "aws_access_key_id": options.aws_access_key_id.get_secret_value(),
        "aws_secret_access_key": options.aws_secret_access_key.get_secret_value(),
        "region_name": options.aws_region,
        "endpoint_url": options.endpoint_url,
    }
    names = ("request_checksum_calculation", "response_checksum_validation")
    config = Config(
        connect_timeout=CONNECT_TIMEOUT,
        read_timeout=options.timeout,
        max_pool_connections=options.connections or http_client.connections(),
        retries={"mode": "standard"},
        **(dict.fromkeys(names, checksums) if checksums else {}),
    )
    # A new session, since the default session is not thread-safe.
    session = boto3.session.Session()
    return session.client(
        "s3", config=config, **{name: value for name, value in given.items() if value}
    )
