"""The internal door for vCons."""

from typing import Any, ClassVar, override

from pydantic import Field

from core.action_response import ActionResponse
from core.action_runner import ActionRunner
from core.interfaces import Client
from schemas.packed import GivenVcon


class IngestVcon(ActionRunner):
    """Takes one vCon in and puts it into ingress lists: 201 `{uuid, ingress_lists}`.

    The same content again is 200 with `duplicate`: nothing changes but for lists not served yet.
    `warnings` tell what is odd about the vCon, if anything is.
    """

    needs_pipeline: ClassVar[bool] = True
    text_fields: ClassVar[frozenset[str]] = frozenset({"vcon"})
    secret_fields: ClassVar[frozenset[str]] = frozenset({"api_key"})

    vcon: GivenVcon = Field(description="The vCon")
    ingress_lists: list[str] = Field([], description="Lists to put it into")
    api_key: str | None = Field(None, description="Ingress key")

    @classmethod
    @override
    def description(cls) -> str:
        return "Store a vCon and queue it for its chains"

    @override
    async def run(self, client: Client, websocket: Any) -> ActionResponse:
        ingested = await client.pipeline.ingest(self.vcon, self.ingress_lists, self.api_key)
        fields = {"uuid": ingested.uuid, "ingress_lists": self.ingress_lists}
        if ingested.warnings:
            fields["warnings"] = ingested.warnings
        if ingested.outcome == "duplicate":
            return ActionResponse(status_code=200, fields={**fields, "duplicate": True})
        return ActionResponse(status_code=201, fields=fields)
