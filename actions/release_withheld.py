"""ReleaseWithheld: let withheld vCons go on, if the law allows it now."""

from collections.abc import Sequence
from typing import Any, ClassVar, override

from pydantic import Field

from core.action_author import author_of
from core.action_response import ActionResponse
from core.action_runner import ActionRunner
from core.interfaces import Client
from core.operator_interfaces import Call
from schemas.uuids import Uuid


class ReleaseWithheld(ActionRunner):
    """Let withheld vCons go on at their step.

    200 `{released, withheld, cursor}`; 409 if the law still allows none of `vcon_uuids`.
    """

    needs_pipeline: ClassVar[bool] = True
    about_law: ClassVar[bool] = True

    vcon_uuids: Sequence[Uuid] = Field((), max_length=100, description="These")
    list: str | None = Field(None, description="Or the oldest of this ingress list")
    limit: int = Field(100, ge=1, le=1000, description="Most of the list")
    cursor: str | None = Field(None, max_length=60, description="Of the answer before")
    reason: str = Field(description="Why, for the audit")

    @override
    async def run(self, client: Client, websocket: Any) -> ActionResponse:
        arguments = {
            "vcon_uuids": [*self.vcon_uuids],
            "list_name": self.list,
            "limit": self.limit,
            "cursor": self.cursor,
        }
        call = Call(author_of(client), self.reason)
        found = await client.pipeline.operator.perform("release", arguments, call)
        return ActionResponse(status_code=200, fields=found.model_dump(mode="json"))
