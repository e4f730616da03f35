"""Answers of Amazon S3 and compatible servers that end too early, for clients of boto3.

botocore 1.44 does not notice two of them:

- With a body it sends `Expect: 100-continue`, and reads the answer to that in a loop that only an
  empty line ends. After a server has broken off there, the loop keeps its thread busy for ever:
  neither `read_timeout` nor `retries` applies to it.
- http.client takes the end of the connection for the end of the headers. Without `Content-Length`
  the answer then has an empty body: an object without content, or a listing without objects.
"""

from collections.abc import Mapping
from typing import Any

SIZES = ("Content-Length", "Transfer-Encoding")
"""One of these says where the body of an answer ends; else the end of the connection does."""


def notice_broken_answers(client: Any) -> None:
    """Let a client send no `Expect`, and raise for an answer whose headers were broken off."""
    client.meta.events.register_last("before-call.s3", _without_expect)
    client.meta.events.register("after-call.s3", _require_size)


def _without_expect(params: Mapping[str, Any], **_: object) -> None:
    params["headers"].pop("Expect", None)


def _require_size(http_response: Any, model: Any, **_: object) -> None:
    headers = http_response.headers
    ends_by_closing = headers.get("Connection", "").lower() == "close"
    is_read = model.http["method"] == "GET" and http_response.status_code == 200
    if is_read and not ends_by_closing and not any(name in headers for name in SIZES):
        from botocore.exceptions import ConnectionClosedError  # noqa: PLC0415 -- 60 ms

        raise ConnectionClosedError(endpoint_url=http_response.url)
