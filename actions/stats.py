"""Stats: which replicas are there since when, counts, and the last errors."""

from typing import Any, ClassVar, override

from core.action_author import author_of
from core.action_response import ActionResponse
from core.action_runner import ActionRunner
from core.interfaces import Client
from core.operator_interfaces import Call


class Stats(ActionRunner):
    """Replicas, counts, errors.

    200 `{replicas, waiting, in_flight, ended, failed, dead_letters, requests, errors}`.
    """

    needs_pipeline: ClassVar[bool] = True

    @override
    async def run(self, client: Client, websocket: Any) -> ActionResponse:
        found = await client.pipeline.operator.perform("stats", {}, Call(author_of(client)))
        return ActionResponse(status_code=200, fields=found.model_dump(mode="json"))
