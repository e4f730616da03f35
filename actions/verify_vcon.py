"""VerifyVcon: who signed a vCon, and whether that is right and trusted."""

from typing import Any, ClassVar, override

from pydantic import Field

from core.action_author import author_of
from core.action_response import ActionResponse
from core.action_runner import ActionRunner
from core.interfaces import Client
from core.operator_interfaces import Call
from schemas.packed import GivenVcon
from schemas.uuids import Uuid


class VerifyVcon(ActionRunner):
    """Verify a vCon's signatures.

    200 `{form, verified, error, signers, findings}`.
    """

    needs_pipeline: ClassVar[bool] = True
    about_law: ClassVar[bool] = True

    vcon_uuid: Uuid | None = Field(None, description="One that is kept")
    vcon: GivenVcon | None = Field(None, description="Or the vCon")
    original: bool = Field(default=False, description="Return the signed form")

    @override
    async def run(self, client: Client, websocket: Any) -> ActionResponse:
        arguments = {"vcon_uuid": self.vcon_uuid, "vcon": self.vcon, "original": self.original}
        found = await client.pipeline.operator.perform("verify", arguments, Call(author_of(client)))
        return ActionResponse(status_code=200, fields=found.model_dump(mode="json"))
