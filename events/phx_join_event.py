"""The message with which a consumer joins its service's channel."""

from typing import Any, Literal, override

from pydantic import BaseModel, ConfigDict, Field

from core.action_event import PlugboardEvent


class PhxJoinEvent(PlugboardEvent):
    """Sent by the channel itself; kept as the documented shape of a join."""

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
        """The Plugboard never sends one; nothing to do."""
