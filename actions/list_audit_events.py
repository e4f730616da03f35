"""ListAuditEvents: the audit log."""

from datetime import UTC, datetime
from typing import Any, ClassVar, override

from pydantic import Field

from core.action_response import ActionResponse
from core.action_runner import ActionRunner
from core.interfaces import Client


class ListAuditEvents(ActionRunner):
    """Who did what to which key or vCon.

    200 `{events, cursor}`, newest first.
    """

    needs_pipeline: ClassVar[bool] = True
    administrative: ClassVar[bool] = True

    since: datetime | None = Field(None, description="Only from then on")
    limit: int = Field(50, ge=1, le=1000, description="Most")
    cursor: str | None = Field(None, pattern=r"^[0-9]{1,18}$", description="Next page")

    @override
    async def run(self, client: Client, websocket: Any) -> ActionResponse:
        since = self.since
        if since is not None and since.tzinfo is None:
            since = since.replace(tzinfo=UTC)
        before = None if self.cursor is None else int(self.cursor)
        events = await client.pipeline.partner_admin.audit_events(since, before, self.limit)
        cursor = str(events[-1].id) if len(events) == self.limit else None
        shown = [event.model_dump(mode="json") for event in events]
        return ActionResponse(status_code=200, fields={"events": shown, "cursor": cursor})
