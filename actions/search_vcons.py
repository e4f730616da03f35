"""SearchVcons: vCons in Redis by a party."""

from typing import Any, ClassVar, override

from pydantic import Field

from core.action_response import ActionResponse
from core.action_runner import ActionRunner
from core.interfaces import Client


class SearchVcons(ActionRunner):
    """vCons in Redis by a party.

    200 `{vcon_uuids, cursor}`: vCons whose parties have all given terms, compared exactly.
    """

    needs_pipeline: ClassVar[bool] = True

    tel: str | None = Field(None, description="Phone number")
    mailto: str | None = Field(None, description="Mail address")
    name: str | None = Field(None, description="Name")
    limit: int = Field(1000, ge=1, le=10_000, description="Most")
    cursor: str | None = Field(None, description="Next page")

    @override
    async def run(self, client: Client, websocket: Any) -> ActionResponse:
        given = {"tel": self.tel, "mailto": self.mailto, "name": self.name}
        terms = [f"{kind}:{value}" for kind, value in given.items() if value]
        page = await client.pipeline.operations.search(terms, self.limit, self.cursor)
        fields = {"vcon_uuids": page.vcon_uuids, "cursor": page.cursor}
        return ActionResponse(status_code=200, fields=fields)
