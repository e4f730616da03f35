"""CancelRun: stop one run."""

from typing import Any, ClassVar, override

from pydantic import Field

from core.action_response import ActionResponse
from core.action_runner import ActionRunner
from core.interfaces import Client
from schemas.uuids import Uuid


class CancelRun(ActionRunner):
    """Stop a run before its next link.

    200 with the cancelled run; 202 if a worker has it and ends it before its next link.
    """

    needs_pipeline: ClassVar[bool] = True

    run_id: Uuid = Field(description="Run id")

    @override
    async def run(self, client: Client, websocket: Any) -> ActionResponse:
        run = await client.pipeline.cancel_run(self.run_id)
        over = run.status == "cancelled"
        return ActionResponse(status_code=200 if over else 202, fields=run.summary())
