"""Uploads bodies of dialogs to S3."""

import re
from typing import TYPE_CHECKING, Any
from uuid import UUID

from botocore.exceptions import BotoCoreError, ClientError

from lib.s3_client import S3Options, client
from lib.web.http_retry import VendorError
from links.diet.removal import Upload

if TYPE_CHECKING:
    from links.diet import Options

SERVER = "S3"
LONGEST_ID = 100
"""Characters of a dialog's id in a key; a key may have 1024 bytes."""
_OTHER = re.compile(r"[^A-Za-z0-9._-]")


def uploaded(options: "Options", upload: Upload) -> str:
    """The presigned URL of the object with this body; blocks.

    Raises:
        VendorError: if S3 refuses the object or cannot be reached, after botocore's retries.
    """
    target = {"Bucket": options.s3_bucket, "Key": _key(options, upload)}
    try:
        s3: Any = client(_access(options), "s3v4")
        s3.put_object(**target, Body=upload.content, ContentType="text/plain; charset=utf-8")
        url: str = s3.generate_presigned_url(
            "get_object", Params=target, ExpiresIn=options.presigned_url_expiration
        )
    except ClientError as error:
        status, code = _answer(error)
        failed = status == 429 or status >= 500
        raise VendorError(f"{SERVER} answered {status}: {code}", peer_failed=failed) from None
    except BotoCoreError as error:
        text = f"{SERVER} could not be reached: {type(error).__name__}"
        raise VendorError(text, peer_failed=True) from None
    return url


def _access(options: "Options") -> S3Options:
    names = {"aws_access_key_id", "aws_secret_access_key", "aws_region", "endpoint_url", "timeout"}
    return S3Options.of({name: getattr(options, name) for name in names})


def _answer(error: ClientError) -> tuple[int, str]:
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    return status, str(error.response.get("Error", {}).get("Code", "unknown error"))


def _key(options: "Options", upload: Upload) -> str:
    """The same for the same body of the same dialog; the dialog's id cannot lead elsewhere."""
    name = str(UUID(bytes=upload.digest[:16], version=5))
    if upload.dialog_id:
        name = f"{_OTHER.sub('_', str(upload.dialog_id)[:LONGEST_ID])}_{name}"
    folder = options.s3_path.strip("/")
    place = f"{folder}/{upload.vcon_uuid}" if folder else upload.vcon_uuid
    return f"{place}/{name}.txt"
