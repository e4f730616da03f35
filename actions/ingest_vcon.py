"""IngestVcon: the internal API."""

from typing import Any, ClassVar, override

from pydantic import Field, SkipValidation

from core.action_response import ActionResponse
from core.action_runner import ActionRunner
from core.interfaces import Client


class IngestVcon(ActionRunner):
    """Store a vCon and queue it for its chains.

    201 `{uuid, ingress_lists}`, with `warnings` about the vCon if there are any. 200 with
    `duplicate` for the same content again: it is queued only in lists that it was not in.
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
