"""ListRuns: the history of runs."""

from datetime import datetime
from typing import Annotated, Any, ClassVar, override

from pydantic import Field, WithJsonSchema

from core.action_response import ActionResponse
from core.action_runner import ActionRunner
from core.interfaces import Client
from schemas.run import RunStatus
from schemas.run_page import RunQuery
from schemas.uuids import Uuid

# the description that is published is the same as before runs could be withheld
_PUBLISHED = ["queued", "running", "done", "halted", "partial", "failed", "cancelled"]
_Status = Annotated[RunStatus, WithJsonSchema({"enum": _PUBLISHED, "type": "string"})]


class ListRuns(ActionRunner):
    """Finished runs, newest first.

    200 `{runs, cursor}`; runs that have not ended only for status `queued` or `running`.
    """

    needs_pipeline: ClassVar[bool] = True

    chain: str | None = Field(None, description="Only of this chain")
    vcon_uuid: Uuid | None = Field(None, description="Only of this vCon")
    status: _Status | None = Field(None, description="Only with this outcome")
    since: datetime | None = Field(None, description="Only from then on")
    limit: int = Field(50, ge=1, le=500, description="Most")
    cursor: str | None = Field(None, description="Next page")

    @override
    async def run(self, client: Client, websocket: Any) -> ActionResponse:
        query = RunQuery.model_validate(self.model_dump())
        page = await client.pipeline.operations.runs(query)
        runs = [run.summary() for run in page.runs]
        return ActionResponse(status_code=200, fields={"runs": runs, "cursor": page.cursor})
