"""GetVcon: read one vCon."""

from typing import Any, ClassVar, override

from pydantic import Field

from core.action_response import ActionResponse
from core.action_runner import ActionRunner
from core.interfaces import Client
from schemas.uuids import Uuid


class GetVcon(ActionRunner):
    """Read a vCon.

    200 with the vCon, from Redis or a storage.
    """

    needs_pipeline: ClassVar[bool] = True

    vcon_uuid: Uuid = Field(description="vCon uuid")
    storage: str | None = Field(None, description="Only from this storage")

    @override
    async def run(self, client: Client, websocket: Any) -> ActionResponse:
        vcon = await client.pipeline.find_vcon(self.vcon_uuid, self.storage)
        return ActionResponse(status_code=200, fields=vcon)
