"""RecordBasis: record a grant or a denial for a vCon or a person."""

from typing import Any, ClassVar, override

from pydantic import Field

from core.action_author import author_of
from core.action_response import ActionResponse
from core.action_runner import ActionRunner
from core.interfaces import Client
from core.operator_interfaces import Call
from schemas.operator.law.bases import BasisToRecord


class RecordBasis(BasisToRecord, ActionRunner):
    """Record a grant or a denial; it counts at the next step.

    201 with the record. For a vCon, or a person by number or address.
    """

    needs_pipeline: ClassVar[bool] = True
    about_law: ClassVar[bool] = True

    reason: str = Field(description="Kept in the audit")

    @override
    async def run(self, client: Client, websocket: Any) -> ActionResponse:
        told = self.model_dump(exclude={"reason"}, exclude_none=True)
        call = Call(author_of(client), self.reason)
        row = await client.pipeline.operator.perform("record_basis", told, call)
        return ActionResponse(status_code=201, fields=row.model_dump(mode="json"))
