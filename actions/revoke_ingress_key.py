"""RevokeIngressKey: end a partner's key."""

from typing import Any, ClassVar, override
from uuid import UUID

from pydantic import Field

from core.action_author import author_of
from core.action_response import ActionResponse
from core.action_runner import ActionRunner
from core.interfaces import Client


class RevokeIngressKey(ActionRunner):
    """End a partner's key.

    200 `{key}`, which no longer works. Repeating the request changes nothing.
    """

    needs_pipeline: ClassVar[bool] = True
    administrative: ClassVar[bool] = True

    key_id: UUID = Field(description="Key id")

    @override
    async def run(self, client: Client, websocket: Any) -> ActionResponse:
        key = await client.pipeline.partner_admin.revoke_key(self.key_id, author_of(client))
        return ActionResponse(status_code=200, fields={"key": key.model_dump(mode="json")})
