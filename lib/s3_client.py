"""Clients of Amazon S3 and compatible servers, one per process and set of options."""

import os
import threading
from typing import Any, Literal
from urllib.parse import urlsplit

import boto3
from botocore.config import Config
from pydantic import Field, SecretStr

from core.s3_requests import notice_broken_answers
from lib.options import PluginOptions
from lib.web import http_client

CONNECT_TIMEOUT = 10
"""Seconds to wait for a connection."""
AMAZON = (".amazonaws.com", ".amazonaws.com.cn", ".api.aws")
"""The domains of Amazon's own servers."""

type Checksums = Literal["when_required", "when_supported"]


class S3Options(PluginOptions):
    """Options of the access to a server; hashable."""

    aws_access_key_id: SecretStr = Field(SecretStr(""), description="the access key id")
    aws_secret_access_key: SecretStr = Field(SecretStr(""), description="the secret access key")
    aws_region: str = Field("", description="the bucket's region")
    endpoint_url: str = Field("", description="the server's URL, if it is not Amazon's")
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


_lock = threading.Lock()
_clients: dict[tuple[int, S3Options, str], Any] = {}


def client(options: S3Options, signature: str = "") -> Any:
    """The process's client for these options, made at the first call; thread-safe.

    `signature` is botocore's `signature_version`. Presigned URLs need `s3v4`, without which
    botocore signs those of some regions in a way that Amazon refuses for new buckets.
    """
    key = (os.getpid(), options, signature)
    with _lock:
        if key not in _clients:
            _clients[key] = made(options, signature)
        return _clients[key]


def close() -> None:
    """Close the clients of this process; the next call makes new ones."""
    with _lock:
        for each in _clients.values():
            each.close()
        _clients.clear()


def made(options: S3Options, signature: str = "") -> Any:
    """A new client; without the option `checksums`, it sends them to Amazon's servers only."""
    if options.checksums is not None or options.endpoint_url:
        return _new_client(options, signature, options.checksums or "when_required")
    client = _new_client(options, signature, None)
    if (urlsplit(client.meta.endpoint_url).hostname or "").endswith(AMAZON):
        return client
    client.close()  # AWS_ENDPOINT_URL or a profile names another server
    return _new_client(options, signature, "when_required")


def _new_client(options: S3Options, signature: str, checksums: Checksums | None) -> Any:
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
        **({"signature_version": signature} if signature else {}),
        **(dict.fromkeys(names, checksums) if checksums else {}),
    )
    # A new session, since the default session is not thread-safe.
    session = boto3.session.Session()
    client = session.client(
        "s3", config=config, **{name: value for name, value in given.items() if value}
    )
    notice_broken_answers(client)
    return client
