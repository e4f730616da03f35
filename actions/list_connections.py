"""ListConnections: the configured connections."""

from typing import Any, ClassVar, override

from core.action_response import ActionResponse
from core.action_runner import ActionRunner
from core.interfaces import Client


class ListConnections(ActionRunner):
    """Connections and their health.

    200 with each connection's type, health and exposed tasks, never with its configuration.
    """

    needs_pipeline: ClassVar[bool] = True

    @override
    async def run(self, client: Client, websocket: Any) -> ActionResponse:
        found = await client.pipeline.connections.connections()
        return ActionResponse(
            status_code=200, fields={"connections": [each.model_dump() for each in found]}
        )
