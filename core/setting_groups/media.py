"""The settings of media bodies beside the documents."""

import re
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, Field, SecretStr, ValidationInfo, field_validator

_PREFIX = re.compile(r"[A-Za-z0-9!_.*'()/-]{0,200}")
LEAST_BYTES = 4096
"""A smaller body costs less inside the document than beside it."""


class MediaSettings(BaseModel, defer_build=True):
    """Where large bodies of vCons are kept while the vCons are in Redis; equal in all replicas."""

    media_folder: Path | None = Field(
        None, description="An existing folder for media bodies, with `MEDIA_STORE=file`."
    )
    media_s3_bucket: str = Field(
        "", description="An existing bucket for media bodies, with `MEDIA_STORE=s3`."
    )
    media_s3_prefix: str = Field(
        "patchcord-media",
        description="How the names of its objects begin; another prefix for each Redis.",
    )
    media_s3_endpoint_url: str = Field("", description="The server's URL, if it is not Amazon's.")
    media_s3_region: str = Field("", description="The bucket's region.")
    media_s3_access_key_id: str = Field(
        "", description="Its access key id; unset: the credentials that boto3 finds."
    )
    media_s3_secret_access_key: SecretStr = Field(
        SecretStr(""), description="Its secret access key."
    )
    media_store: Literal["redis", "file", "s3"] | None = Field(
        None,
        description="Where bodies of at least `MEDIA_MIN_BYTES` are kept, apart from the documents "
        "in Redis; unset: in the documents. Programs that read Redis themselves do not find them. "
        "The same in every replica.",
    )
    media_min_bytes: int = Field(
        256_000, ge=LEAST_BYTES, description="The least size of such a body, in bytes of JSON."
    )

    @field_validator("media_s3_prefix")
    @classmethod
    def _is_a_prefix(cls, value: str) -> str:
        if not _PREFIX.fullmatch(value) or ".." in value:
            msg = "must be letters, digits and -_.!*'()/ only, 200 at most, without .."
            raise ValueError(msg)
        return value

    @field_validator("media_folder")
    @classmethod
    def _is_a_folder(cls, value: Path | None) -> Path | None:
        if value is not None and not value.is_dir():
            msg = f"{value} is no folder; make it, or mount the volume"
            raise ValueError(msg)
        return value

    @field_validator("media_store")
    @classmethod
    def _has_a_place(cls, value: str | None, info: ValidationInfo) -> str | None:
        if value == "file" and info.data.get("media_folder", value) is None:
            msg = "`file` needs MEDIA_FOLDER"
            raise ValueError(msg)
        if value == "s3" and not info.data.get("media_s3_bucket", value):
            msg = "`s3` needs MEDIA_S3_BUCKET"
            raise ValueError(msg)
        return value
