"""EnqueueVcons: queue vCons that are stored already."""

from typing import Any, ClassVar, override

from pydantic import Field

from core.action_response import ActionResponse
from core.action_runner import ActionRunner
from core.interfaces import Client
from schemas.uuids import Uuid


class EnqueueVcons(ActionRunner):
    """Queue stored vCons for a chain.

    200 `{enqueued, unknown}`: a count, and the uuids that neither Redis nor a storage has.
    """

    needs_pipeline: ClassVar[bool] = True

    vcon_uuids: list[Uuid] = Field(min_length=1, max_length=1000, description="vCons")
    ingress_list: str = Field(description="List to put them into")

    @override
    async def run(self, client: Client, websocket: Any) -> ActionResponse:
        wanted = list(dict.fromkeys(self.vcon_uuids))
        unknown = await client.pipeline.operations.enqueue(wanted, self.ingress_list)
        enqueued = len(wanted) - len(unknown)
        return ActionResponse(status_code=200, fields={"enqueued": enqueued, "unknown": unknown})
