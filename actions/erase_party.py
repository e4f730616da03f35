"""EraseParty: erase the vCons of a person under the law."""

from typing import Any, ClassVar, override

from pydantic import Field

from core.action_author import author_of
from core.action_response import ActionResponse
from core.action_runner import ActionRunner
from core.interfaces import Client
from core.operator_interfaces import Call


class EraseParty(ActionRunner):
    """Erase the vCons of a person, by one of `tel`, `mail`, `name`.

    200 `{erasure, found, more}`; 409 while one is held.
    """

    needs_pipeline: ClassVar[bool] = True
    about_law: ClassVar[bool] = True

    tel: str | None = Field(None, description="Number")
    mail: str | None = Field(None, description="Address")
    name: str | None = Field(None, description="Name")
    reason: str = Field("", description="Why")
    hold: str | None = Field(None, description="Erase nothing yet, for this reason")
    suppress: bool = Field(False, description="Deny every purpose later")
    dry_run: bool = Field(False, description="Only say what would be erased")

    @override
    async def run(self, client: Client, websocket: Any) -> ActionResponse:
        arguments = self.model_dump(exclude={"reason"}, exclude_none=True)
        call = Call(author_of(client), self.reason)
        result = await client.pipeline.operator.perform("erase_party", arguments, call)
        return ActionResponse(status_code=200, fields=result.model_dump(mode="json"))
