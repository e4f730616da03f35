"""Remove one vCon."""

from typing import Any, ClassVar, override

from pydantic import Field

from core.action_author import author_of
from core.action_response import ActionResponse
from core.action_runner import ActionRunner
from core.ports import Client


class DeleteVcon(ActionRunner):
    """200 `{deleted}`: where it was removed. Index and queue entries go with it."""

    needs_pipeline: ClassVar[bool] = True
    administrative: ClassVar[bool] = True

    vcon_uuid: str = Field(description="vCon uuid")
    storages: list[str] = Field([], description="Storages to remove it from, too")

    @classmethod
    @override
    def description(cls) -> str:
        return "Remove a vCon and its queue entries"

    @override
    async def run(self, client: Client, websocket: Any) -> ActionResponse:
        await client.pipeline.desk.audit(
            "DeleteVcon", author_of(client), f"vcon:{self.vcon_uuid}", {"storages": self.storages}
        )
        deleted = await client.pipeline.operations.delete(self.vcon_uuid, self.storages)
        return ActionResponse(status_code=200, fields={"deleted": deleted})
