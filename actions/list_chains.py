"""ListChains: the configured chains."""

from typing import Any, ClassVar, override

from core.action_response import ActionResponse
from core.action_runner import ActionRunner
from core.interfaces import Client


class ListChains(ActionRunner):
    """Chains with their parts and queue depths.

    200 with each chain's links, storages and lists, and the depths of the lists.
    """

    needs_pipeline: ClassVar[bool] = True

    @override
    async def run(self, client: Client, websocket: Any) -> ActionResponse:
        chains = await client.pipeline.chains()
        shown = [chain.model_dump(exclude_defaults=True) for chain in chains]  # errors, if any
        return ActionResponse(status_code=200, fields={"chains": shown})
