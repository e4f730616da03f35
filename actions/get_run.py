"""GetRun: read one run."""

from typing import Any, ClassVar, override

from pydantic import Field

from core.action_response import ActionResponse
from core.action_runner import ActionRunner
from core.interfaces import Client
from schemas.uuids import Uuid


class GetRun(ActionRunner):
    """State and outcome of a chain run.

    200 with the run, from any replica, for as long as RUN_RETENTION_DAYS keeps it.
    """

    needs_pipeline: ClassVar[bool] = True

    run_id: Uuid = Field(description="Run id")

    @override
    async def run(self, client: Client, websocket: Any) -> ActionResponse:
        run = await client.pipeline.find_run(self.run_id)
        return ActionResponse(status_code=200, fields=run.summary())
