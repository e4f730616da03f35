"""Admin: the operations of operators, in one action so that the published list stays short."""

from typing import Any, ClassVar, override

from pydantic import Field

from core.action_author import author_of
from core.action_response import ActionResponse
from core.action_runner import ActionRunner
from core.errors import ForbiddenError
from core.interfaces import Client
from core.operator_interfaces import Call


class Admin(ActionRunner):
    """An operator's operation.

    200 with its result. `operation`: status, running, failures ...
    """

    needs_pipeline: ClassVar[bool] = True
    administrative: ClassVar[bool] = True

    operation: str = Field(description="Name")
    arguments: dict[str, Any] = Field({}, description="Its arguments")
    reason: str = Field("", description="Why, of a change")

    @override
    async def run(self, client: Client, websocket: Any) -> ActionResponse:
        api = client.pipeline.operator
        known = api.operations.get(self.operation)
        if known is not None and not known.remote:
            msg = f"operation {self.operation} is for the command line only"
            raise ForbiddenError(msg)
        call = Call(author_of(client), self.reason)
        result = await api.perform(self.operation, self.arguments, call)
        return ActionResponse(status_code=200, fields=result.model_dump(mode="json"))
