"""AckEgress: confirm vCons read from an egress list."""

from typing import Any, ClassVar, override

from pydantic import Field

from core.action_response import ActionResponse
from core.action_runner import ActionRunner
from core.interfaces import Client
from schemas.uuids import Uuid


class AckEgress(ActionRunner):
    """Acknowledge uuids read from an egress list.

    200 `{acknowledged}`: how many of them were leased.
    """

    needs_pipeline: ClassVar[bool] = True

    egress_list: str = Field(description="Egress list")
    vcon_uuids: list[Uuid] = Field(min_length=1, max_length=1000, description="vCons")

    @override
    async def run(self, client: Client, websocket: Any) -> ActionResponse:
        count = await client.pipeline.operations.acknowledge(self.egress_list, self.vcon_uuids)
        return ActionResponse(status_code=200, fields={"acknowledged": count})
