"""Stop one run."""

from typing import Any, ClassVar, override

from pydantic import Field

from core.action_response import ActionResponse
from core.action_runner import ActionRunner
from core.interfaces import Client
from schemas.uuids import Uuid


class CancelRun(ActionRunner):
    """Stop a run before its next link.

    200 with the run, which is cancelled; 202 when it ends before its next link.
    """

    needs_pipeline: ClassVar[bool] = True

    run_id: Uuid = Field(description="Run id")

    @override
    async def run(self, client: Client, websocket: Any) -> ActionResponse:
        run = await client.pipeline.cancel_run(self.run_id)
        over = run.status == "cancelled"
        return ActionResponse(status_code=200 if over else 202, fields=run.summary())
