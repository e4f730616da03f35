"""The message with which a consumer joins its service's channel."""

from typing import Any, Literal, override

from pydantic import BaseModel, ConfigDict, Field

from core.action_event import PlugboardEvent


class PhxJoinEvent(PlugboardEvent):
    """Documents the shape of a join; `core.phoenix` sends it."""

    class Payload(BaseModel):
        """A join carries nothing."""

        model_config = ConfigDict(extra="allow")

    event: Literal["phx_join"] = Field("phx_join", description="Event name.")
    payload: Payload = Field(default_factory=Payload, description="Empty.")

    @classmethod
    @override
    def description(cls) -> str:
        return "Joins the channel of a service."

    @override
    def run(self, client: Any, websocket: Any) -> None:
        """Do nothing; the Plugboard does not send this event."""
