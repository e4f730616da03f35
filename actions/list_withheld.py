"""ListWithheld: vCons that the law withholds, and why."""

from typing import Any, ClassVar, override

from pydantic import Field

from core.action_author import author_of
from core.action_response import ActionResponse
from core.action_runner import ActionRunner
from core.interfaces import Client
from core.operator_interfaces import Call


class ListWithheld(ActionRunner):
    """vCons whose law does not allow their next step.

    200 `{vcons, counts, total, cursor}`, oldest first.
    """

    needs_pipeline: ClassVar[bool] = True
    about_law: ClassVar[bool] = True

    list: str | None = Field(None, description="Only of this ingress list")
    limit: int = Field(50, ge=1, le=500, description="Most")
    cursor: str | None = Field(None, description="Next page")

    @override
    async def run(self, client: Client, websocket: Any) -> ActionResponse:
        arguments = {"list_name": self.list, "limit": self.limit, "cursor": self.cursor}
        operator = client.pipeline.operator
        found = await operator.perform("withheld", arguments, Call(author_of(client)))
        return ActionResponse(status_code=200, fields=found.model_dump(mode="json"))
