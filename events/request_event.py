"""A request that the Plugboard pushes to one of the service's consumers."""

from typing import Any, ClassVar, Literal, override

from pydantic import BaseModel, Field

from core.action_event import PlugboardEvent
from core.interfaces import Client


class RequestEvent(PlugboardEvent):
    """`action` and `fields` are any JSON; the dispatcher validates them."""

    only_accepts: ClassVar[bool] = True
    secret_fields: ClassVar[frozenset[str]] = frozenset({"payload"})

    class Payload(BaseModel):
        """Action, fields, and the ref of the answer."""

        action: Any = Field(None, description="Name of the action.")
        fields: Any = Field(None, description="The action's fields.")
        response_ref: Any = Field(None, description="Ref of the answer.")

    event: Literal["request"] = Field("request", description="Event name.")
    payload: Payload = Field(description="The request.")

    @classmethod
    @override
    def description(cls) -> str:
        return "A request to run one action."

    @override
    def run(self, client: Client, websocket: Any) -> None:
        """Pass the request to the client, without waiting for it."""
        payload = self.payload
        client.accept(payload.action, payload.fields, payload.response_ref)
