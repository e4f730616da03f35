"""RunFlow: run a flow."""

from typing import Any, ClassVar, override

from pydantic import Field

from core.action_response import ActionResponse
from core.action_runner import ActionRunner
from core.interfaces import Client


class RunFlow(ActionRunner):
    """Run a flow.

    200 with the flow's outputs, and with `terminated` and `reason` after an `exit` step.
    """

    needs_pipeline: ClassVar[bool] = True

    flow: str = Field(description="An exposed flow")
    inputs: dict[str, Any] = Field({}, description="Its inputs")

    @override
    async def run(self, client: Client, websocket: Any) -> ActionResponse:
        connections = client.pipeline.connections
        with client.giving_way():
            fields = await connections.run_flow(self.flow, self.inputs, client.seconds_left())
        return ActionResponse(status_code=200, fields=fields, is_sent_once=True)
