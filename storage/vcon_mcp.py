"""Stores vCons in vCon-MCP through its REST API.

vCon-MCP keeps a vCon under its uuid, and each of its parts under the part's index; saving again
replaces these. It leaves the further parts of a vCon that has fewer than before, such as analyses
that a link has removed: a save therefore reads the vCon back, and sends it anew after deleting it
if there are more (`remove_leftovers`). Versions before 1.2, which refuse a uuid that they have, are
served in the same way. The vCon is sent in the current format, which vCon-MCP reads, also with
another EGRESS_FORMAT_VERSION.

Better than vcon-server's: `get` raises an error if the server cannot be reached, where "not found"
would be wrong; a vCon that is larger than the API takes is refused with its size; a refusal's
message is a part of the error.

Reads the vCon, writes nothing to it. vCon-MCP returns the fields that it knows, and no others.
Raises `LookupError` for a vCon that is not in Redis, `ValueError` for an id that is not a uuid and
for a vCon that is too large, and `VendorError` if the last attempt got no answer or an error.
"""

from collections.abc import Container, Mapping
from typing import Any

import orjson
from pydantic import Field, SecretStr, field_validator

from lib.options import PluginOptions
from lib.plain_calls import plain_too
from lib.vcon.fields import required_uuid
from lib.vcon_redis import AsyncVconRedis
from lib.web.client_library import httpx
from lib.web.http_retry import BACKOFF, RETRIES, HttpRetry, VendorError
from lib.web.json_api import JsonAnswer, call_json

__all__ = ["Options", "delete", "effect", "get", "only_through_lib", "save"]

only_through_lib = True
effect = "idempotent"

SERVER = "vCon-MCP"
MOST_BYTES = 50 * 1024 * 1024
"""Bytes of a request's body that vCon-MCP accepts."""
PARTS = ("parties", "dialog", "analysis", "attachments")
NOT_FOUND, CONFLICT = 404, 409
DUPLICATE = "duplicate key"
"""In the answer of versions before 1.2 to a uuid that they have."""


class Options(PluginOptions):
    """Options of the storage."""

    base_url: str = Field(
        "http://127.0.0.1:3000/api/v1", description="the URL of the REST API, with its base path"
    )
    api_key: SecretStr = Field(
        SecretStr(""), description="an API key, which must not be a read-only one"
    )
    timeout: float = Field(30, gt=0, description="seconds for one attempt")
    transient_retries: int = Field(3, ge=0, description=RETRIES.removeprefix("+ "))
    transient_backoff_base_s: float = Field(0.5, ge=0, description=BACKOFF.removeprefix("+ "))
    api_key_header: str = Field(
        "authorization",
        min_length=1,
        description="+ the header for the key, vCon-MCP's `API_KEY_HEADER`; in `authorization` it "
        "is a bearer token",
    )
    remove_leftovers: bool = Field(
        True,
        description="+ whether parts are removed that the vCon had when it was saved before; this "
        "takes a further request, which reads the vCon back",
    )

    @field_validator("base_url")
    @classmethod
    def _url(cls, url: str) -> str:
        try:
            found = httpx.URL(url)
        except httpx.InvalidURL:
            found = httpx.URL()
        if found.scheme not in ("http", "https") or not found.host or found.query or found.userinfo:
            raise ValueError("must be http://host/path or https://host/path, without a login")
        return url.rstrip("/")

    @property
    def http_retry(self) -> HttpRetry:
        """The retries as `lib.web` takes them."""
        return HttpRetry(self.timeout, self.transient_retries, self.transient_backoff_base_s)

    def headers(self) -> dict[str, str]:
        """The headers of every request."""
        key = self.api_key.get_secret_value()
        is_bearer = self.api_key_header.lower() == "authorization"
        held = {self.api_key_header: f"Bearer {key}" if is_bearer else key} if key else {}
        return {"accept": "application/json"} | held


type Document = dict[str, Any]
type Given = Mapping[str, Any] | PluginOptions | None


@plain_too
async def save(vcon_uuid: str, opts: Given = None) -> None:
    """Store the vCon's current content in Redis."""
    options, uuid = Options.of(opts), required_uuid(vcon_uuid)
    document = await AsyncVconRedis().required_vcon_dict(vcon_uuid)
    content = orjson.dumps(document)
    if len(content) > MOST_BYTES:
        size = f"{len(content)} bytes, {SERVER} accepts {MOST_BYTES}"
        raise ValueError(f"the vCon {uuid} has {size}; the link diet makes it smaller")
    is_refused = not await _created(options, content)
    if is_refused or (options.remove_leftovers and await _has_more(options, uuid, document)):
        await _removed(options, uuid)
        if not await _created(options, content):
            raise VendorError(f"{SERVER} still has the vCon {uuid} after deleting it")


@plain_too
async def get(vcon_uuid: str, opts: Given = None) -> Document | None:
    """The vCon as last saved, or None."""
    return await _found(Options.of(opts), required_uuid(vcon_uuid))


@plain_too
async def delete(vcon_uuid: str, opts: Given = None) -> bool:
    """Delete the vCon; False if there was none."""
    return await _removed(Options.of(opts), required_uuid(vcon_uuid))


async def _created(options: Options, content: bytes) -> bool:
    """Whether the server took it; False if it refuses a uuid that it has."""
    try:
        answer = await _call(options, "POST", "vcons", accept=(CONFLICT,), content=content)
    except VendorError as error:
        if DUPLICATE in str(error):
            return False
        raise
    return answer.status != CONFLICT and _done(answer)


async def _has_more(options: Options, uuid: str, document: Document) -> bool:
    kept = await _found(options, uuid) or {}
    return any(_count(kept, part) > _count(document, part) for part in PARTS)


async def _found(options: Options, uuid: str) -> Document | None:
    """The vCon, which is the answer's member `vcon`; in a vCon itself that member is its version.

    None as well if the server answers with another vCon.
    """
    answer = await _call(options, "GET", f"vcons/{uuid}", accept=(NOT_FOUND,))
    if answer.status == NOT_FOUND:
        return None
    body = answer.body if isinstance(answer.body, dict) else {}
    found = body if isinstance(body.get("vcon"), str) else body.get("vcon")
    if not isinstance(found, dict):
        raise VendorError(f"{SERVER} answered {answer.status} without a vCon; check base_url")
    return found if found.get("uuid") == uuid else None


async def _removed(options: Options, uuid: str) -> bool:
    answer = await _call(options, "DELETE", f"vcons/{uuid}", accept=(NOT_FOUND,))
    return answer.status != NOT_FOUND and _done(answer)


def _done(answer: JsonAnswer) -> bool:
    """True; an answer that does not say so is of another server, and an error."""
    if not isinstance(answer.body, dict) or answer.body.get("success") is not True:
        text = f"{SERVER} answered {answer.status} without success: true; check base_url"
        raise VendorError(text)
    return True


def _count(document: Document, part: str) -> int:
    entries = document.get(part)
    return len(entries) if isinstance(entries, list) else 0


async def _call(
    options: Options, method: str, path: str, *, accept: Container[int], content: bytes = b""
) -> JsonAnswer:
    headers = options.headers() | ({"content-type": "application/json"} if content else {})
    return await call_json(
        method,
        f"{options.base_url}/{path}",
        server=SERVER,
        retry=options.http_retry,
        headers=headers,
        accept=accept,
        most_bytes=2 * MOST_BYTES,
        content=content or None,
    )
