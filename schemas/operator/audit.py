"""The audit, as operators read it."""

from datetime import datetime

from pydantic import BaseModel, ConfigDict, Field

from schemas.ingress_key import AuditEvent


class AuditQuery(BaseModel, defer_build=True):
    """Which audit events are shown; `before` is the id of the last one on the previous page."""

    model_config = ConfigDict(extra="forbid")

    since: datetime | None = None
    before: int | None = Field(None, ge=1)
    limit: int = Field(50, ge=1, le=1000)


class AuditPage(BaseModel, defer_build=True):
    """Audit events, newest first."""

    events: list[AuditEvent]
