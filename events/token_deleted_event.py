"""A token was deleted."""

import logging
from typing import Any, Literal, override

from pydantic import BaseModel, Field

from core.action_event import PlugboardEvent
from core.interfaces import Client
from schemas.token import Token

log = logging.getLogger(__name__)


class TokenDeletedEvent(PlugboardEvent):
    """A consumer connected with it stays connected, but cannot connect again."""

    class Payload(BaseModel):
        """The token, without its value."""

        token: Token = Field(description="The token.")

    event: Literal["token_deleted"] = Field("token_deleted", description="Event name.")
    payload: Payload = Field(description="The token.")

    @classmethod
    @override
    def description(cls) -> str:
        return "A token was deleted."

    @override
    def run(self, client: Client, websocket: Any) -> None:
        """Record the deletion, and log it if the token is the one in use."""
        token = self.payload.token
        if client.service is not None and client.service.id == token.service_id:
            client.records.token_deleted(token)
            if client.credentials.deleted(token.id):
                log.error("token in use deleted", extra={"token_id": token.id})
