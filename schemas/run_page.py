"""Queries and pages of the history of runs."""

from datetime import datetime

from pydantic import BaseModel, Field

from schemas.run import Run, RunStatus


class RunQuery(BaseModel, defer_build=True):
    """All conditions that are given must hold. `cursor` is that of an earlier page."""

    chain: str | None = None
    vcon_uuid: str | None = None
    status: RunStatus | None = None
    since: datetime | None = None
    limit: int = Field(50, ge=1, le=500)
    cursor: str | None = None


class RunPage(BaseModel, defer_build=True):
    """Some runs, newest first; `cursor` is that of the next page, None at the end."""

    runs: list[Run]
    cursor: str | None = None
