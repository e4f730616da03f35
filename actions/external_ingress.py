"""ExternalIngress: the partner API."""

from typing import Any, ClassVar, override

from pydantic import Field, SkipValidation

from core.action_response import ActionResponse
from core.action_runner import ActionRunner
from core.interfaces import Client


class ExternalIngress(ActionRunner):
    """Take a vCon from a partner.

    200 `{uuid}` for new and for known content, with `warnings` about the vCon if there are any.
    The key is verified before the vCon is looked at.
    """

    needs_pipeline: ClassVar[bool] = True
    text_fields: ClassVar[frozenset[str]] = frozenset({"vcon"})
    limits_size: ClassVar[bool] = True
    secret_fields: ClassVar[frozenset[str]] = frozenset({"api_key"})

    vcon: SkipValidation[dict[str, Any] | str] = Field(description="The vCon")
    ingress_list: str = Field(description="The key's list")
    api_key: str = Field(description="Ingress key")

    @override
    async def run(self, client: Client, websocket: Any) -> ActionResponse:
        lists = [self.ingress_list]
        taken = await client.pipeline.partners.take(self.vcon, lists, self.api_key)
        warnings = {"warnings": taken.warnings} if taken.warnings else {}
        return ActionResponse(status_code=200, fields={"uuid": taken.uuid, **warnings})
