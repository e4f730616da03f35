"""RotateIngressKey: give a partner a new secret."""

from typing import Any, ClassVar, override
from uuid import UUID

from pydantic import Field

from core.action_author import author_of
from core.action_response import ActionResponse
from core.action_runner import ActionRunner
from core.interfaces import Client


class RotateIngressKey(ActionRunner):
    """Replace a key's secret, told once.

    201 `{secret, key}`: a new key of the same lineage. The old one works for `grace_hours` more.
    """

    needs_pipeline: ClassVar[bool] = True
    administrative: ClassVar[bool] = True

    key_id: UUID = Field(description="Key id")
    grace_hours: float = Field(24, ge=0, le=8760, description="Hours the old one works on")

    @override
    async def run(self, client: Client, websocket: Any) -> ActionResponse:
        made = await client.pipeline.partner_admin.rotate_key(
            self.key_id, self.grace_hours, author_of(client)
        )
        fields = made.model_dump(mode="json")
        return ActionResponse(status_code=201, fields=fields, has_secret=True)
