"""DeleteVcon: remove one vCon."""

from typing import Any, ClassVar, override

from pydantic import Field

from core.action_author import author_of
from core.action_response import ActionResponse
from core.action_runner import ActionRunner
from core.interfaces import Client
from schemas.uuids import Uuid


class DeleteVcon(ActionRunner):
    """Remove a vCon and its queue entries.

    200 `{deleted}`: by place, whether it was there; 502 if a storage may still have it.
    """

    needs_pipeline: ClassVar[bool] = True
    administrative: ClassVar[bool] = True

    vcon_uuid: Uuid = Field(description="vCon uuid")
    storages: list[str] = Field([], description="From these storages too")

    @override
    async def run(self, client: Client, websocket: Any) -> ActionResponse:
        await client.pipeline.partner_admin.audit(
            "DeleteVcon", author_of(client), f"vcon:{self.vcon_uuid}", {"storages": self.storages}
        )
        deletion = await client.pipeline.operations.delete(self.vcon_uuid, self.storages)
        fields: dict[str, Any] = {"deleted": deletion.removed}
        if deletion.failed:
            return ActionResponse(
                status_code=502,
                message=deletion.failure_text,
                fields=fields | {"failed": deletion.failed},
            )
        return ActionResponse(status_code=200, fields=fields)
