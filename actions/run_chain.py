"""RunChain: run one chain on one vCon."""

from typing import Any, ClassVar, Self, override

from pydantic import Field, model_validator

from core.action_response import ActionResponse
from core.action_runner import ActionRunner
from core.interfaces import Client
from schemas.packed import GivenVcon
from schemas.run import FINISHED
from schemas.selection import one_of
from schemas.uuids import Uuid

LONGEST_WAIT = 0.9
"""Part of the time left that may be spent waiting; the rest is for the answer."""


class RunChain(ActionRunner):
    """Run a chain on a vCon.

    200 with the finished run, or 202 with its present state while it goes on.
    """

    needs_pipeline: ClassVar[bool] = True
    text_fields: ClassVar[frozenset[str]] = frozenset({"vcon"})

    chain: str = Field(description="Chain name")
    vcon_uuid: Uuid | None = Field(None, description="A known vCon")
    vcon: GivenVcon | None = Field(None, description="Or the vCon")
    idempotency_key: str | None = Field(
        None, max_length=200, description="Again: the same run, for a day"
    )
    wait: float = Field(20, ge=0, description="Seconds to wait for the end")

    @model_validator(mode="after")
    def _one_vcon(self) -> Self:
        one_of(self.vcon_uuid, self.vcon)
        return self

    @override
    async def run(self, client: Client, websocket: Any) -> ActionResponse:
        vcon = one_of(self.vcon_uuid, self.vcon)
        wait = min(self.wait, LONGEST_WAIT * client.seconds_left())
        run = await client.pipeline.run_chain(
            *(self.chain, vcon, wait, self.idempotency_key), waiting=client.giving_way()
        )
        if run.status in FINISHED:
            return ActionResponse(status_code=200, fields=run.summary())
        return ActionResponse(status_code=202, fields=run.summary())
