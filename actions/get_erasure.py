"""GetErasure: how far an erasure is, and its statement."""

from typing import Any, ClassVar, override

from pydantic import Field

from core.action_author import author_of
from core.action_response import ActionResponse
from core.action_runner import ActionRunner
from core.interfaces import Client
from core.operator_interfaces import Call
from schemas.uuids import Uuid


class GetErasure(ActionRunner):
    """One erasure with its destinations.

    200 with `state`, `targets` and, once it has ended, the signed `statement`.
    """

    needs_pipeline: ClassVar[bool] = True
    about_law: ClassVar[bool] = True

    erasure: Uuid = Field(description="Its id")

    @override
    async def run(self, client: Client, websocket: Any) -> ActionResponse:
        call = Call(author_of(client))
        found = await client.pipeline.operator.perform("erasure", {"id": self.erasure}, call)
        return ActionResponse(status_code=200, fields=found.model_dump(mode="json"))
