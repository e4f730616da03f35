"""A service was deleted."""

from typing import Any, Literal, override

from pydantic import BaseModel, Field

from core.action_event import PlugboardEvent
from core.interfaces import Client
from schemas.service import Service


class ServiceDeletedEvent(PlugboardEvent):
    """Also sent for child services. The Plugboard still sends requests after it."""

    class Payload(BaseModel):
        """The deleted service."""

        service: Service = Field(description="The service.")

    event: Literal["service_deleted"] = Field("service_deleted", description="Event name.")
    payload: Payload = Field(description="The service.")

    @classmethod
    @override
    def description(cls) -> str:
        return "A service was deleted."

    @override
    def run(self, client: Client, websocket: Any) -> None:
        """Record the deletion and retire, if it is this service."""
        service = self.payload.service
        if client.service is not None and client.service.id == service.id:
            client.records.service_deleted(service)
            client.retire(f"the service {service.name} was deleted")
