"""GetCustody: where a vCon went."""

from typing import Any, ClassVar, override

from core.action_author import author_of
from core.action_response import ActionResponse
from core.action_runner import ActionRunner
from core.interfaces import Client
from core.operator_interfaces import Call
from schemas.operator.law.ledger import CustodyQuery


class GetCustody(CustodyQuery, ActionRunner):
    """Where a vCon went: versions, deliveries, events.

    Each delivery with its time, basis, and whether it was acknowledged; 404 if none is known.
    """

    needs_pipeline: ClassVar[bool] = True
    about_law: ClassVar[bool] = True

    @override
    async def run(self, client: Client, websocket: Any) -> ActionResponse:
        call = Call(author_of(client), "")
        found = await client.pipeline.operator.perform("custody", self.model_dump(), call)
        return ActionResponse(status_code=200, fields=found.model_dump(mode="json"))
