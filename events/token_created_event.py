"""A token was created; the only message with a token's value."""

from typing import Any, ClassVar, Literal, override

from pydantic import BaseModel, Field

from core.action_event import PlugboardEvent
from core.interfaces import Client
from schemas.token import Token


class TokenCreatedEvent(PlugboardEvent):
    """The value is recorded as a hash, and kept in memory for a later connection."""

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
        """Record the token as a hash and keep it as the next one, if it is of this service."""
        token = self.payload.token
        if client.service is not None and client.service.id == token.service_id:
            client.records.token_seen(token)
            client.credentials.created(token)
