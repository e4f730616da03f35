"""EraseVcon: erase one vCon under the law."""

from typing import Any, ClassVar, override

from pydantic import Field

from core.action_author import author_of
from core.action_response import ActionResponse
from core.action_runner import ActionRunner
from core.interfaces import Client
from core.operator_interfaces import Call
from schemas.uuids import Uuid


class EraseVcon(ActionRunner):
    """Erase a vCon wherever it was delivered.

    200 `{erasure}`: its `id`, for GetErasure; 409 while it is held.
    """

    needs_pipeline: ClassVar[bool] = True
    about_law: ClassVar[bool] = True

    vcon_uuid: Uuid = Field(description="vCon uuid")
    reason: str = Field("", description="Why")
    hold: str | None = Field(None, description="Erase nothing yet, for this reason")
    dry_run: bool = Field(False, description="Only say what would be erased")

    @override
    async def run(self, client: Client, websocket: Any) -> ActionResponse:
        arguments = self.model_dump(include={"vcon_uuid", "hold", "dry_run"})
        call = Call(author_of(client), self.reason)
        result = await client.pipeline.operator.perform("erase_vcon", arguments, call)
        return ActionResponse(status_code=200, fields=result.model_dump(mode="json"))
