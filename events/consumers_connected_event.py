"""The number of consumers of the service."""

from typing import Any, Literal, override

from pydantic import BaseModel, Field

from core.action_event import PlugboardEvent
from core.interfaces import Client


class ConsumerConnectedEvent(PlugboardEvent):
    """Sent to the other consumers when one joins (once) or leaves (twice)."""

    class Payload(BaseModel):
        """The count."""

        num_consumers: int = Field(ge=0, description="Consumers of the service.")

    event: Literal["num_consumers"] = Field("num_consumers", description="Event name.")
    payload: Payload = Field(description="The count.")

    @classmethod
    @override
    def description(cls) -> str:
        return "The number of consumers changed."

    @override
    def run(self, client: Client, websocket: Any) -> None:
        """Remember the count."""
        client.num_consumers = self.payload.num_consumers
