"""GetUsage: the use of partners' keys."""

from datetime import date
from typing import Any, ClassVar, override
from uuid import UUID

from pydantic import Field

from core.action_response import ActionResponse
from core.action_runner import ActionRunner
from core.interfaces import Client


class GetUsage(ActionRunner):
    """What partners pushed, by key and day.

    200 `{usage}`: a row for each key and day (UTC), the latest day first, 1,000 at most.
    """

    needs_pipeline: ClassVar[bool] = True
    administrative: ClassVar[bool] = True

    key_id: UUID | None = Field(None, description="Only of this key")
    ingress_list: str | None = Field(None, description="Only of this list")
    since: date | None = Field(None, description="First day")

    @override
    async def run(self, client: Client, websocket: Any) -> ActionResponse:
        rows = await client.pipeline.partner_admin.usage(self.key_id, self.ingress_list, self.since)
        usage = [row.model_dump(mode="json") for row in rows]
        return ActionResponse(status_code=200, fields={"usage": usage})
