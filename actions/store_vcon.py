"""StoreVcon: write one vCon to storages, outside any chain."""

from typing import Any, ClassVar, Self, override

from pydantic import Field, model_validator

from core.action_response import ActionResponse
from core.action_runner import ActionRunner
from core.interfaces import Client
from schemas.packed import GivenVcon
from schemas.selection import one_of
from schemas.uuids import Uuid


class StoreVcon(ActionRunner):
    """Write a vCon to storages now.

    200 with each storage's outcome; 502 if every storage failed.
    """

    needs_pipeline: ClassVar[bool] = True
    text_fields: ClassVar[frozenset[str]] = frozenset({"vcon"})

    vcon_uuid: Uuid | None = Field(None, description="A known vCon")
    vcon: GivenVcon | None = Field(None, description="Or the vCon")
    storages: list[str] = Field(min_length=1, description="Storage names")

    @model_validator(mode="after")
    def _one_vcon(self) -> Self:
        one_of(self.vcon_uuid, self.vcon)
        return self

    @override
    async def run(self, client: Client, websocket: Any) -> ActionResponse:
        steps = await client.pipeline.save(one_of(self.vcon_uuid, self.vcon), self.storages)
        outcomes = [step.model_dump() for step in steps]
        if all(step.outcome == "failed" for step in steps):
            failures = "; ".join(f"{step.name}: {step.error}" for step in steps)
            return ActionResponse(status_code=502, message=f"No storage took the vCon: {failures}")
        return ActionResponse(status_code=200, fields={"storages": outcomes})
