"""RunTask: run one task of a connection."""

from typing import Any, ClassVar, override

from pydantic import Field

from core.action_response import ActionResponse
from core.action_runner import ActionRunner
from core.interfaces import Client


class RunTask(ActionRunner):
    """Run a task.

    200 with the task's outputs.
    """

    needs_pipeline: ClassVar[bool] = True

    connection: str = Field(description="Name")
    task: str = Field(description="An exposed task")
    params: dict[str, Any] = Field({}, description="Its parameters")
    timeout: float = Field(30, gt=0, le=3600, description="Seconds")

    @override
    async def run(self, client: Client, websocket: Any) -> ActionResponse:
        timeout = min(self.timeout, client.seconds_left())
        connections = client.pipeline.connections
        with client.giving_way():
            outputs = await connections.run_task(self.connection, self.task, self.params, timeout)
        return ActionResponse(status_code=200, fields={"outputs": outputs}, is_sent_once=True)
