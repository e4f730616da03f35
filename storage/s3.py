"""Keeps vCons in a bucket of Amazon's S3, or of a server that speaks the same.

A vCon is the object `YYYY/MM/DD/UUID.vcon`, by the day it was made, and `lookup/UUID.txt` says
which day that is; both lie under `s3_path` where there is one. Saving again replaces them. The
layout is vcon-server's, so an existing bucket can be used further. Each process keeps one client
for each set of options. Keys may be left out where AWS has its own way to give them to the machine,
and `AWS_ENDPOINT_URL` counts where there is no `endpoint_url`.

Reads the vCon, writes nothing on it. Raises `LookupError` for a vCon that is not in Redis, and
botocore's errors when S3 says no or cannot be reached, after the two repeats that botocore makes by
itself (its mode `standard`).
"""

import os
import threading
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import boto3
import orjson
from botocore.config import Config
from botocore.exceptions import ClientError
from pydantic import Field, SecretStr

from lib.options import GuestOptions
from lib.vcon_dates import created_at
from lib.vcon_egress_compat import to_configured_legacy
from lib.vcon_redis import VconRedis

only_through_lib = True

CONNECT_TIMEOUT = 10
"""Seconds to wait for a connection."""


class Options(GuestOptions):
    """Which bucket, where in it, and who asks."""

    aws_access_key_id: SecretStr = Field(SecretStr(""), description="who asks")
    aws_secret_access_key: SecretStr = Field(SecretStr(""), description="and with which key")
    aws_bucket: str = Field(min_length=1, description="the bucket, which is there already")
    aws_region: str = Field("", description="its region")
    endpoint_url: str = Field("", description="where the server is, if it is not Amazon's")
    s3_path: str = Field("", description="where in the bucket")
    timeout: float = Field(60, gt=0, description="+ seconds without anything from the server")
    connections: int = Field(10, ge=1, description="+ the most connections that one process keeps")

    def key(self, name: str) -> str:
        """The key of an object under `s3_path`."""
        folder = self.s3_path.strip("/")
        return f"{folder}/{name}" if folder else name


type Given = Mapping[str, Any] | Options | None

_lock = threading.Lock()
_clients: dict[tuple[int, Options], Any] = {}


def save(vcon_uuid: str, opts: Given = None) -> None:
    """Write the vCon as it is now in Redis."""
    options = Options.of(opts)
    document = VconRedis().get_vcon_dict(vcon_uuid)
    if document is None:
        raise LookupError(f"there is no vCon {vcon_uuid} in Redis")
    day = _day(document)
    body = orjson.dumps(to_configured_legacy(document))
    _put(options, f"{day}/{vcon_uuid}.vcon", body, "application/json")
    _put(options, f"lookup/{vcon_uuid}.txt", day.encode(), "text/plain")


def get(vcon_uuid: str, opts: Given = None) -> dict[str, Any] | None:
    """The vCon as it was saved last, or None."""
    options = Options.of(opts)
    day = _content(options, f"lookup/{vcon_uuid}.txt")
    content = day and _content(options, f"{day.decode().strip()}/{vcon_uuid}.vcon")
    document = orjson.loads(content) if content else None
    return document if isinstance(document, dict) else None


def delete(vcon_uuid: str, opts: Given = None) -> bool:
    """Remove the vCon; False when it was not there."""
    options = Options.of(opts)
    day = _content(options, f"lookup/{vcon_uuid}.txt")
    if day is None:
        return False
    for name in (f"{day.decode().strip()}/{vcon_uuid}.vcon", f"lookup/{vcon_uuid}.txt"):
        _client(options).delete_object(Bucket=options.aws_bucket, Key=options.key(name))
    return True


def close() -> None:
    """Close the connections of this process; they are made anew when they are wanted again."""
    with _lock:
        for client in _clients.values():
            client.close()
        _clients.clear()


def _day(document: dict[str, Any]) -> str:
    """The day in the time zone in which the vCon says when it was made, as vcon-server has it."""
    try:
        made = datetime.fromisoformat(document["created_at"])
    except (KeyError, TypeError, ValueError):
        made = created_at(document) or datetime.fromtimestamp(0).astimezone()
    return f"{made:%Y/%m/%d}"


def _put(options: Options, name: str, body: bytes, kind: str) -> None:
    where = {"Bucket": options.aws_bucket, "Key": options.key(name)}
    _client(options).put_object(**where, Body=body, ContentType=kind)


def _content(options: Options, name: str) -> bytes | None:
    where = {"Bucket": options.aws_bucket, "Key": options.key(name)}
    try:
        answer = _client(options).get_object(**where)
    except ClientError as error:
        if error.response["Error"]["Code"] in ("NoSuchKey", "404"):
            return None
        raise
    with answer["Body"] as stream:
        content: bytes = stream.read()
        return content


def _client(options: Options) -> Any:
    """The client for these options, made by whoever asks first in this process."""
    key = (os.getpid(), options)
    with _lock:
        if key not in _clients:
            _clients[key] = _made(options)
        return _clients[key]


def _made(options: Options) -> Any:
    given = {
        "aws_access_key_id": options.aws_access_key_id.get_secret_value(),
        "aws_secret_access_key": options.aws_secret_access_key.get_secret_value(),
        "region_name": options.aws_region,
        "endpoint_url": options.endpoint_url,
    }
    config = Config(
        connect_timeout=CONNECT_TIMEOUT,
        read_timeout=options.timeout,
        max_pool_connections=options.connections,
        retries={"mode": "standard"},
    )
    # A session of its own: the default one must not be used by several threads.
    session = boto3.session.Session()
    return session.client(
        "s3", config=config, **{name: value for name, value in given.items() if value}
    )
