"""A service was renamed, or saved unchanged."""

from typing import Any, Literal, override

from pydantic import BaseModel, Field

from core.action_event import PlugboardEvent
from core.interfaces import Client
from schemas.service import Service


class ServiceUpdatedEvent(PlugboardEvent):
    """Also sent for child services, which have another id."""

    class Payload(BaseModel):
        """The changed service."""

        service: Service = Field(description="The service.")

    event: Literal["service_updated"] = Field("service_updated", description="Event name.")
    payload: Payload = Field(description="The service.")

    @classmethod
    @override
    def description(cls) -> str:
        return "A service was changed."

    @override
    def run(self, client: Client, websocket: Any) -> None:
        """Keep and record the service, if it is this one."""
        service = self.payload.service
        if client.service is not None and client.service.id == service.id:
            client.service = service
            client.records.service_seen(service)
