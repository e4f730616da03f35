"""The internal door for vCons."""

from typing import Any, ClassVar, override

from pydantic import Field, SkipValidation

from core.action_response import ActionResponse
from core.action_runner import ActionRunner
from core.interfaces import Client


class IngestVcon(ActionRunner):
    """Store a vCon and queue it for its chains.

    Takes one vCon in and puts it into ingress lists: 201 `{uuid, ingress_lists}`.

    The same content again is 200 with `duplicate`: nothing changes but for lists not served yet.
    `warnings` tell what is odd about the vCon, if anything is.
    """

    needs_pipeline: ClassVar[bool] = True
    text_fields: ClassVar[frozenset[str]] = frozenset({"vcon"})
    secret_fields: ClassVar[frozenset[str]] = frozenset({"api_key"})

    vcon: SkipValidation[dict[str, Any] | str] = Field(description="The vCon")
    ingress_lists: list[str] = Field([], description="Lists to put it into")
    api_key: str | None = Field(None, description="Ingress key")

    @override
    async def run(self, client: Client, websocket: Any) -> ActionResponse:
        lists = self.ingress_lists
        ingested = await client.pipeline.internal.take(self.vcon, lists, self.api_key)
        fields = {"uuid": ingested.uuid, "ingress_lists": lists}
        if ingested.warnings:
            fields["warnings"] = ingested.warnings
        if ingested.outcome == "duplicate":
            return ActionResponse(status_code=200, fields={**fields, "duplicate": True})
        return ActionResponse(status_code=201, fields=fields)
