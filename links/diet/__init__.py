"""Removes parts of a vCon: bodies of dialogs, analyses, attachments, system prompts.

Reads the vCon and writes it without what the options name; without any, nothing is changed. With
`remove_dialog_body`, the body of each dialog is removed, after it was uploaded if there is a place
for it: `s3_bucket`, or else `post_media_to_url`. The dialog then has the URL of the upload as
`body`, and `body_type: url`. A body is removed only after its upload has succeeded (vcon-server
removes it also if the upload has failed), and each is stored at once. A body that is such a URL, or
is empty, stays as it is, so a second run uploads and changes nothing. The other links read a body
of `body_type: url` from its URL.

- S3: an object `{s3_path}/{uuid}/{dialog id}_{digest}.txt` with the body as text, as it stands in
  the vCon. The digest is that of the body, so a repetition writes the same object. The URL is
  presigned: who has the vCon can read the object with it, until `presigned_url_expiration` is over
  or the key with which it was signed expires. The keys are optional if AWS provides credentials to
  the machine; the required permissions are `s3:PutObject` and `s3:GetObject`.
- `post_media_to_url`: a POST of `{"content", "vcon_uuid", "dialog_id"}` with an `Idempotency-Key`,
  to be answered with JSON and 2xx; its `url` becomes the body, which is empty if there is none.

`remove_analysis` leaves an empty list of analyses, to which later links can add.
`remove_attachment_types` compares the media type (`mediatype`, and `mimetype` or `mime_type` of
older vCons) without its parameters and in any case. `remove_system_prompts` removes each member
`system_prompt` at any depth, also in bodies that are JSON text.

If the vCon is not in Redis, the chain ends. Raises `VendorError` if the last attempt of an upload
failed.
"""

import asyncio
from collections.abc import Mapping
from importlib import import_module
from typing import Annotated, Any, Self

import orjson
from pydantic import BeforeValidator, Field, SecretStr, model_validator

from lib.metrics import increment_counter
from lib.plain_calls import plain_too
from lib.vcon.dialogs import Document, dialogs, external_body
from lib.vcon_redis import AsyncVconRedis
from lib.web.http_retry import HttpRetryOptions, VendorError
from lib.web.json_api import HttpUrl, call_json
from links.diet.removal import Upload, without_attachments, without_system_prompts

__all__ = ["Options", "effect", "only_through_lib", "run"]

only_through_lib = True
effect = "idempotent"

SERVER = "the media server"
LONGEST_EXPIRATION = 604_800
"""Seconds: seven days, Amazon's limit for presigned URLs."""
FAILURES = "conserver.link.diet.media_post_failures"


def _as_list(value: object) -> object:
    return [value] if isinstance(value, str) and value else value or []


class Options(HttpRetryOptions):
    """Options of the link."""

    remove_dialog_body: bool = Field(False, description="whether to remove bodies of dialogs")
    post_media_to_url: HttpUrl = Field("", description="the server that bodies are sent to")
    remove_analysis: bool = Field(False, description="whether to remove all analyses")
    remove_attachment_types: Annotated[list[str], BeforeValidator(_as_list)] = Field(
        [], description="media types; attachments of these are removed"
    )
    remove_system_prompts: bool = Field(
        False, description="whether to remove every member `system_prompt`"
    )
    s3_bucket: str = Field("", description="an existing bucket for the bodies (extra `s3`)")
    s3_path: str = Field("", max_length=500, description="the prefix of all keys in the bucket")
    aws_access_key_id: SecretStr = Field(SecretStr(""), description="the access key id")
    aws_secret_access_key: SecretStr = Field(SecretStr(""), description="the secret access key")
    aws_region: str = Field("us-east-1", description="the bucket's region")
    presigned_url_expiration: int = Field(
        3600,
        ge=1,
        le=LONGEST_EXPIRATION,
        description="seconds for which the URL of an object can be read, at most seven days",
    )
    endpoint_url: HttpUrl = Field("", description="+ the server's URL, if it is not Amazon's")
    timeout: float = Field(60, gt=0, description="+ seconds for one attempt")

    @model_validator(mode="after")
    def _has_library(self) -> Self:
        if self.s3_bucket:
            import_module("links.diet.bucket")  # a missing boto3 is reported at load
        return self

    @property
    def unwanted_types(self) -> frozenset[str]:
        """The media types as they are compared."""
        return frozenset(each.partition(";")[0].strip().lower() for each in self.types)

    @property
    def types(self) -> list[str]:
        """The media types as given."""
        return self.remove_attachment_types


@plain_too
async def run(
    vcon_uuid: str, link_name: str, opts: Mapping[str, Any] | Options | None = None
) -> str | None:
    """Remove what the options name; returns the uuid, or None if the vCon is not in Redis."""
    options, redis = Options.of(opts), AsyncVconRedis()
    document = await redis.get_vcon_dict(vcon_uuid)
    if document is None:
        return None
    changed = options.remove_dialog_body and await _without_bodies(document, vcon_uuid, options)
    if options.remove_analysis:
        changed |= _without_analysis(document)
    if options.types:
        changed |= without_attachments(document, options.unwanted_types)
    if options.remove_system_prompts:
        changed |= without_system_prompts(document)
    if changed:
        await redis.store_vcon_dict(document)
    return vcon_uuid


async def _without_bodies(document: Document, vcon_uuid: str, options: Options) -> bool:
    """Remove the bodies; True if the vCon must still be stored, since nothing was uploaded."""
    has_place, changed = bool(options.s3_bucket or options.post_media_to_url), False
    for index, dialog in dialogs(document):
        body = dialog.get("body")
        if not body or external_body(dialog) is not None:
            continue
        upload = Upload(vcon_uuid, index, dialog.get("id"), body)
        url = await _uploaded(upload, options) if has_place else ""
        dialog.update({"body": url, "body_type": "url"} if url else {"body": ""})
        if has_place:
            await AsyncVconRedis().store_vcon_dict(document)
        changed = not has_place
    return changed


async def _uploaded(upload: Upload, options: Options) -> str:
    """The URL of the uploaded body; empty if its server gives none."""
    try:
        if options.s3_bucket:
            bucket = import_module("links.diet.bucket")
            url: str = await asyncio.to_thread(bucket.uploaded, options, upload)
            return url
        return await _posted(upload, options)
    except VendorError:
        increment_counter(FAILURES)
        raise


async def _posted(upload: Upload, options: Options) -> str:
    answer = await call_json(
        "POST",
        options.post_media_to_url,
        server=SERVER,
        retry=options.http_retry,
        content=orjson.dumps(upload.message),
        headers={
            "content-type": "application/json",
            "idempotency-key": upload.digest.hex()[:32],
        },
    )
    found = answer.body
    if isinstance(found, dict):
        found = "" if found.get("url") is None else found["url"]
    if found != "" and external_body({"body": found, "body_type": "url"}) is None:
        raise VendorError(f"{SERVER} answered with something else than a URL")
    return str(found)


def _without_analysis(document: Document) -> bool:
    had = bool(document.get("analysis"))
    if had:
        document["analysis"] = []
    return had
