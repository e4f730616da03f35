"""Dead letters in answers."""

from datetime import datetime
from typing import Literal

from pydantic import BaseModel, Field
from pydantic.json_schema import SkipJsonSchema

type Uncertain = Literal["repeat", "skip"]
"""What a replay does with a step that may have happened: repeat it, or go on after it."""


class DeadLetter(BaseModel, defer_build=True):
    """One entry of a dead-letter list. `cause` is the same for failures of one kind.

    A vCon that another program put there has a uuid and nothing else. `beside` has its
    failures in other chains, each with a run to go on with.
    """

    vcon_uuid: str
    error: str | None = None
    cause: str = "unknown"
    step: str | None = None
    kind: str | None = None
    attempts: int | None = None
    chain: str | None = None
    list_name: str | None = None
    run_id: str | None = None
    worker: str | None = None
    at: datetime | None = None
    beside: list["DeadLetter"] = Field(default_factory=list)
    fingerprint: str | None = Field(None, exclude=True)
    """That of its cause; None if a version without fingerprints, or another program, wrote it."""
    uncertain: SkipJsonSchema[bool] = Field(False, exclude_if=lambda value: not value)
    """Whether its step may have happened, and must not be repeated unseen; left out if not."""


class DeadLetterPage(BaseModel, defer_build=True):
    """Some entries, the count of all and of each cause; `cursor` is that of the next page."""

    entries: list[DeadLetter]
    total: int
    causes: dict[str, int] = Field(default_factory=dict)
    cursor: str | None = None
