"""A token of our service was made; the one message that holds its value."""

from typing import Any, ClassVar, Literal, override

from pydantic import BaseModel, Field

from core.action_event import PlugboardEvent
from core.interfaces import Client
from schemas.token import Token


class TokenCreatedEvent(PlugboardEvent):
    """Recorded with a hash of the value, which itself stays in memory, for the next connect."""

    secret_fields: ClassVar[frozenset[str]] = frozenset({"payload"})

    class Payload(BaseModel):
        """The token with its value."""

        token: Token = Field(description="The token.")

    event: Literal["token_created"] = Field("token_created", description="Event name.")
    payload: Payload = Field(description="The token.")

    @classmethod
    @override
    def description(cls) -> str:
        return "A token was created."

    @override
    def run(self, client: Client, websocket: Any) -> None:
        """Record it if it is of our service, the value only as a hash, and keep it at hand."""
        token = self.payload.token
        if client.service is not None and client.service.id == token.service_id:
            client.records.token_seen(token)
            client.credentials.created(token)
