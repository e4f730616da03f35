"""DeleteVcon: remove one vCon."""

from typing import Any, ClassVar, override

from pydantic import Field

from core.action_author import author_of
from core.action_response import ActionResponse
from core.action_runner import ActionRunner
from core.interfaces import Client
from schemas.deletion import Deletion
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
                message=_incomplete(deletion),
                fields=fields | {"failed": deletion.failed},
            )
        return ActionResponse(status_code=200, fields=fields)


def _incomplete(deletion: Deletion) -> str:
    removed = ", ".join(name for name, was_there in deletion.removed.items() if was_there)
    failures = "; ".join(f"{name}: {error}" for name, error in deletion.failed.items())
    return f"Removed from: {removed or 'no place'}. Not removed from {failures}"
