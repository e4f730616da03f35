"""ReplayDeadLetters: queue failed vCons again."""

from collections.abc import Sequence
from typing import Any, ClassVar, Self, override

from pydantic import Field, model_validator
from pydantic.json_schema import SkipJsonSchema

from core.action_author import author_of
from core.action_response import ActionResponse
from core.action_runner import ActionRunner
from core.interfaces import Client
from schemas.dead_letter import Uncertain
from schemas.selection import exactly_one
from schemas.uuids import Uuid


class ReplayDeadLetters(ActionRunner):
    """Queue failed vCons again.

    200 `{replayed}`: a count. Runs go on at the step that failed, or from the start.
    """

    needs_pipeline: ClassVar[bool] = True
    administrative: ClassVar[bool] = True

    list: str | None = Field(None, description="Ingress list")
    storage: str | None = Field(None, description="Or storage")
    vcon_uuids: Sequence[Uuid] | None = Field(None, description="Only these")
    cause: str | None = Field(None, description="Only of this cause")
    limit: int = Field(1000, ge=1, le=100_000, description="Most")
    from_start: bool = Field(False, description="Repeat links too")
    # not in the description that is published, which is the same as before
    uncertain: SkipJsonSchema[Uncertain | None] = Field(
        None, description="Steps that may have happened: repeat or skip"
    )

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        exactly_one(list=self.list, storage=self.storage)
        return self

    @override
    async def run(self, client: Client, websocket: Any) -> ActionResponse:
        await self._audit(client)
        replayed = await client.pipeline.operations.replay(
            self.list,
            self.storage,
            vcon_uuids=self.vcon_uuids,
            cause=self.cause,
            limit=self.limit,
            from_start=self.from_start,
            uncertain=self.uncertain,
        )
        return ActionResponse(status_code=200, fields={"replayed": replayed})

    async def _audit(self, client: Client) -> None:
        kind, name = ("storage", self.storage) if self.list is None else ("list", self.list)
        detail = self.model_dump(exclude={"list", "storage"}, exclude_defaults=True)
        author = author_of(client)
        await client.pipeline.partner_admin.audit(
            "ReplayDeadLetters", author, f"{kind}:{name}", detail
        )
