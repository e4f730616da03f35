"""ReadEgress: lease vCons from an egress list."""

from typing import Any, ClassVar, override

from pydantic import Field

from core.action_response import ActionResponse
from core.action_runner import ActionRunner
from core.interfaces import Client


class ReadEgress(ActionRunner):
    """Take uuids from an egress list, to be acknowledged.

    200 `{vcon_uuids}`. Those not acknowledged in time return to the list.
    """

    needs_pipeline: ClassVar[bool] = True

    egress_list: str = Field(description="Egress list")
    limit: int = Field(1, ge=1, le=1000, description="Most")
    lease_seconds: int = Field(60, ge=1, le=86_400, description="Time to acknowledge")

    @override
    async def run(self, client: Client, websocket: Any) -> ActionResponse:
        vcon_uuids = await client.pipeline.operations.read_egress(
            self.egress_list, self.limit, self.lease_seconds
        )
        return ActionResponse(status_code=200, fields={"vcon_uuids": vcon_uuids})
