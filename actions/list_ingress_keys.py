"""ListIngressKeys: partners' keys."""

from typing import Any, ClassVar, override

from pydantic import Field

from core.action_author import author_of
from core.action_response import ActionResponse
from core.action_runner import ActionRunner
from core.interfaces import Client


class ListIngressKeys(ActionRunner):
    """Partners' keys and their use.

    200 `{keys}`, newest first, with expired and revoked ones, never with a secret.
    """

    needs_pipeline: ClassVar[bool] = True
    administrative: ClassVar[bool] = True

    ingress_list: str | None = Field(None, description="Only of this list")

    @override
    async def run(self, client: Client, websocket: Any) -> ActionResponse:
        admin, name = client.pipeline.partner_admin, self.ingress_list
        target = "ingress_keys" if name is None else f"ingress_list:{name}"
        await admin.audit("ListIngressKeys", author_of(client), target, {})
        keys = await admin.keys(name)
        shown = [key.model_dump(mode="json") for key in keys]
        return ActionResponse(status_code=200, fields={"keys": shown})
