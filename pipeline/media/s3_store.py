"""Media bodies as objects of a bucket: `{prefix}/{uuid}/{name}`.

The permissions are those of `storage.s3`: `s3:PutObject`, `s3:GetObject`, `s3:DeleteObject` on the
objects and `s3:ListBucket` on the bucket. S3 answers 403 for an object that does not exist without
the last one: that is told as an outage, so that no vCon is given up for a missing permission.
"""

import contextlib
import threading
from collections.abc import Iterator, Sequence
from typing import Any, ClassVar, NamedTuple, override

from core.s3_requests import notice_broken_answers
from core.settings import Settings
from pipeline.media.stores import BlockingStore, MediaAwayError

CONNECT_SECONDS, READ_SECONDS = 5, 30
CONNECTIONS = 32
"""Connections of one process."""
PAGE = 1000
"""Objects of one page of a listing, the most that S3 returns."""


class Bucket(NamedTuple):
    """The settings MEDIA_S3_*."""

    name: str
    prefix: str
    endpoint_url: str = ""
    region: str = ""
    access_key_id: str = ""
    secret_access_key: str = ""

    @classmethod
    def of(cls, settings: Settings) -> "Bucket":
        """Those of the settings."""
        return cls(
            settings.media_s3_bucket,
            settings.media_s3_prefix.strip("/"),
            settings.media_s3_endpoint_url,
            settings.media_s3_region,
            settings.media_s3_access_key_id,
            settings.media_s3_secret_access_key.get_secret_value(),
        )


class S3Store(BlockingStore):
    """Objects of one bucket; the client is made by the first call."""

    kind: ClassVar[str] = "s3"

    def __init__(self, bucket: Bucket) -> None:
        """Connects to nothing."""
        self._bucket = bucket
        self._lock = threading.Lock()
        self._made: Any = None

    @override
    def put_from_thread(self, vcon_uuid: str, name: str, text: bytes) -> None:
        """See `MediaStore`."""
        with self._away() as client:
            client.put_object(**self._object(vcon_uuid, name), Body=text)

    @override
    def _get(self, vcon_uuid: str, name: str) -> bytes | None:
        with self._away() as client:
            try:
                answer = client.get_object(**self._object(vcon_uuid, name))
            except client.exceptions.NoSuchKey:
                return None
            with answer["Body"] as stream:
                content: bytes = stream.read()
                return content

    @override
    def _names(self, vcon_uuid: str) -> list[str]:
        prefix = self._key(vcon_uuid, "")
        where = {"Bucket": self._bucket.name, "Prefix": prefix}
        with self._away() as client:
            pages = client.get_paginator("list_objects_v2").paginate(
                **where, PaginationConfig={"PageSize": PAGE}
            )
            found = (each for page in pages for each in page.get("Contents", ()))
            return [each["Key"].removeprefix(prefix) for each in found]

    @override
    def _remove(self, vcon_uuid: str, names: Sequence[str]) -> None:
        with self._away() as client:
            for name in names:
                client.delete_object(**self._object(vcon_uuid, name))

    def _key(self, vcon_uuid: str, name: str) -> str:
        prefix = self._bucket.prefix
        return f"{prefix}/{vcon_uuid}/{name}" if prefix else f"{vcon_uuid}/{name}"

    def _object(self, vcon_uuid: str, name: str) -> dict[str, str]:
        return {"Bucket": self._bucket.name, "Key": self._key(vcon_uuid, name)}

    @contextlib.contextmanager
    def _away(self) -> Iterator[Any]:
        from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415 -- 60 ms

        try:
            yield self._client()
        except (BotoCoreError, ClientError, OSError) as error:
            msg = f"media store s3, bucket {self._bucket.name}: {error}"
            raise MediaAwayError(msg) from error

    def _client(self) -> Any:
        with self._lock:
            if self._made is None:
                self._made = _made(self._bucket)
            return self._made


def _made(bucket: Bucket) -> Any:
    import boto3  # noqa: PLC0415 -- most processes need none of it
    from botocore.config import Config  # noqa: PLC0415

    checks = "when_required" if bucket.endpoint_url else "when_supported"
    config = Config(
        connect_timeout=CONNECT_SECONDS,
        read_timeout=READ_SECONDS,
        max_pool_connections=CONNECTIONS,
        retries={"mode": "standard"},
        request_checksum_calculation=checks,
        response_checksum_validation=checks,
    )
    given = {
        "aws_access_key_id": bucket.access_key_id,
        "aws_secret_access_key": bucket.secret_access_key,
        "region_name": bucket.region,
        "endpoint_url": bucket.endpoint_url,
    }
    session = boto3.session.Session()  # the default session is not thread-safe
    client = session.client("s3", config=config, **{k: v for k, v in given.items() if v})
    notice_broken_answers(client)
    return client
