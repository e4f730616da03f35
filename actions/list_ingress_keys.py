"""Who may push."""

from typing import Any, ClassVar, override

from pydantic import Field

from core.action_response import ActionResponse
from core.action_runner import ActionRunner
from core.ports import Client


class ListIngressKeys(ActionRunner):
    """200 `{keys}`, newest first, dead ones too, none with its secret."""

    needs_pipeline: ClassVar[bool] = True
    administrative: ClassVar[bool] = True

    ingress_list: str | None = Field(None, description="Only of this list")

    @classmethod
    @override
    def description(cls) -> str:
        return "Partners' keys and their use"

    @override
    async def run(self, client: Client, websocket: Any) -> ActionResponse:
        keys = await client.pipeline.desk.keys(self.ingress_list)
        shown = [key.model_dump(mode="json") for key in keys]
        return ActionResponse(status_code=200, fields={"keys": shown})
