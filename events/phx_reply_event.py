"""The Plugboard's answer to a join."""

from typing import Any, Literal, override

from pydantic import BaseModel, Field

from core.action_event import PlugboardEvent
from core.interfaces import Client
from schemas.service import Service
from schemas.token import Token


class PhxReplyEvent(PlugboardEvent):
    """The join was accepted: the service, the token, and the number of consumers."""

    class Payload(BaseModel):
        """Status and response."""

        class Response(BaseModel):
            """The service and token as they were when the socket was opened."""

            num_consumers: int = Field(1, description="Consumers of the service.")
            service: Service | None = Field(None, description="The service.")
            token: Token | None = Field(None, description="The token, without its value.")

        status: Literal["ok", "error"] = Field(description="Whether the join was accepted.")
        response: Response = Field(description="The answer.")

    event: Literal["phx_reply"] = Field("phx_reply", description="Event name.")
    payload: Payload = Field(description="The answer.")

    @classmethod
    @override
    def description(cls) -> str:
        return "The answer to a join."

    @override
    def run(self, client: Client, websocket: Any) -> None:
        """Keep and record the service and the token."""
        response = self.payload.response
        client.num_consumers = response.num_consumers
        if response.service is not None:
            client.service = _newer(client.service, response.service)
            client.records.service_seen(response.service)
        if response.token is not None:
            client.token = response.token
            client.credentials.joined(response.token)
            client.records.token_seen(response.token)


def _newer(known: Service | None, received: Service) -> Service:
    """The reply to a second join on a socket has the service as it was at the first."""
    if known is not None and known.id == received.id and known.updated_at > received.updated_at:
        return known
    return received
