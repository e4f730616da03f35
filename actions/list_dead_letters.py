"""ListDeadLetters: failed vCons, and why they failed."""

from typing import Any, ClassVar, Self, override

from pydantic import Field, model_validator

from core.action_response import ActionResponse
from core.action_runner import ActionRunner
from core.interfaces import Client
from schemas.selection import exactly_one


class ListDeadLetters(ActionRunner):
    """vCons that failed, with reasons and a count per cause.

    200 `{entries, total, causes, cursor}`, oldest first.
    """

    needs_pipeline: ClassVar[bool] = True

    list: str | None = Field(None, description="Ingress list")
    storage: str | None = Field(None, description="Or storage")
    limit: int = Field(50, ge=1, le=500, description="Most")
    cursor: str | None = Field(None, description="Next page")

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        exactly_one(list=self.list, storage=self.storage)
        return self

    @override
    async def run(self, client: Client, websocket: Any) -> ActionResponse:
        page = await client.pipeline.operations.dead_letters(
            self.list, self.storage, self.limit, self.cursor
        )
        return ActionResponse(status_code=200, fields=page.model_dump(mode="json"))
