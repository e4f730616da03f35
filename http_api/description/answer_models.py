"""The bodies of answers and requests, for the description of the API."""

from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field


class Open(BaseModel):
    """An object with further members, which are kept."""

    model_config = ConfigDict(extra="allow")


class Party(Open):
    """A party of a conversation; `tel`, `mailto` and `name` can be searched for."""

    tel: str | None = Field(None, description="`+15551234567`, `tel:` in front is allowed.")
    mailto: str | None = None
    name: str | None = None
    role: str | None = None


class Dialog(Open):
    """A part of a conversation: a recording, a text, a transfer or a failed attempt."""

    type: str = Field(examples=["recording"])
    start: datetime | None = None
    parties: list[int] | int | None = Field(None, description="Indexes into the list of parties.")
    duration: float | None = Field(None, ge=0, description="Seconds.")
    url: str | None = None
    mediatype: str | None = None
    body: Any = None
    encoding: str | None = Field(None, description="`base64url`, `json` or `none`.")


class Analysis(Open):
    """A result about dialogs, such as a transcript."""

    type: str
    dialog: int | list[int] | None = Field(None, description="Indexes into the list of dialogs.")
    vendor: str | None = None
    body: Any = None
    encoding: str | None = None


class Attachment(Open):
    """A document that belongs to the conversation, such as tags."""

    type: str | None = None
    body: Any = None
    encoding: str | None = None


class VCon(Open):
    """A conversation, as in the IETF core draft."""

    uuid: UUID
    created_at: datetime
    vcon: str | None = Field(None, description="The version of the form; optional.")
    updated_at: datetime | None = None
    subject: str | None = None
    parties: list[Party] = []
    dialog: list[Dialog] = []
    analysis: list[Analysis] = []
    attachments: list[Attachment] = []


class Version(BaseModel):
    """What the settings VCON_SERVER_... say."""

    version: str
    git_commit: str
    build_time: str


class Health(BaseModel):
    """The process answers; Redis and Postgres are not asked."""

    status: Literal["healthy"]
    version: Version


class Ping(BaseModel):
    """The body that senders of webhooks try an address with, and the answer to it."""

    test: Literal[True]


class QueueDepth(BaseModel):
    """The length of a list."""

    list_name: str
    depth: int


class Refusal(BaseModel):
    """Why a request was refused."""

    detail: str


class Problem(BaseModel):
    """What is wrong with a parameter or a member of the body."""

    type: str
    loc: list[str | int] = Field(description="`body`, `query` or `path`, and the place in it.")
    msg: str
    input: Any = Field(None, description="What was given, shortened.")
    ctx: dict[str, Any] | None = None


class Problems(BaseModel):
    """All that is wrong with a request, up to a limit."""

    detail: list[Problem]
