"""A service was deleted."""

from typing import Any, Literal, override

from pydantic import BaseModel, Field

from core.action_event import PlugboardEvent
from core.interfaces import Client
from schemas.service import Service


class ServiceDeletedEvent(PlugboardEvent):
    """May be about a child of our service. The Plugboard goes on sending requests all the same."""

    class Payload(BaseModel):
        """The service as it was."""

        service: Service = Field(description="The service.")

    event: Literal["service_deleted"] = Field("service_deleted", description="Event name.")
    payload: Payload = Field(description="The service.")

    @classmethod
    @override
    def description(cls) -> str:
        return "A service was deleted."

    @override
    def run(self, client: Client, websocket: Any) -> None:
        """Record it and retire, if it is ours."""
        service = self.payload.service
        if client.service is not None and client.service.id == service.id:
            client.records.service_deleted(service)
            client.retire(f"the service {service.name} was deleted")
