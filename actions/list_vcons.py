"""ListVcons: vCons in Redis by time."""

from datetime import UTC, datetime
from typing import Any, ClassVar, override

from pydantic import Field

from core.action_response import ActionResponse
from core.action_runner import ActionRunner
from core.interfaces import Client


class ListVcons(ActionRunner):
    """vCons in Redis, newest first.

    200 `{vcon_uuids, cursor}`, newest first.
    """

    needs_pipeline: ClassVar[bool] = True

    since: datetime | None = Field(None, description="Created from then on")
    until: datetime | None = Field(None, description="Created until then")
    limit: int = Field(50, ge=1, le=1000, description="Most")
    cursor: str | None = Field(None, description="Next page")

    @override
    async def run(self, client: Client, websocket: Any) -> ActionResponse:
        page = await client.pipeline.operations.vcons(
            _epoch(self.since), _epoch(self.until), self.limit, self.cursor
        )
        fields = {"vcon_uuids": page.vcon_uuids, "cursor": page.cursor}
        return ActionResponse(status_code=200, fields=fields)


def _epoch(moment: datetime | None) -> float | None:
    if moment is None:
        return None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
