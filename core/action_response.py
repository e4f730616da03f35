"""The answer to a request."""

from http import HTTPStatus
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, field_validator

_INFORMATIONAL = frozenset({100, 101, 102, 103})
"""Statuses from which the Plugboard makes a broken HTTP answer."""
_RELAYED = frozenset(map(int, HTTPStatus)) - _INFORMATIONAL


class ActionResponse(BaseModel):
    """An HTTP status code, a message for people, and fields for programs.

    Raises:
        ValidationError: for a status code that the Plugboard cannot relay as HTTP.
    """

    model_config = ConfigDict(frozen=True)

    status_code: int = Field(description="HTTP status code, 200 to 599.")
    message: Any = Field(None, description="What happened, as text.")
    fields: Any = Field(None, description="The result.")
    is_sent_once: bool = Field(
        False, description="Large fields without a message are sent as the message alone."
    )
    has_secret: bool = Field(
        False, description="It must not be written to Redis, as answers are on a handover to peers."
    )

    @field_validator("status_code")
    @classmethod
    def _is_relayable(cls, value: int) -> int:
        if value in _RELAYED:
            return value
        if value in _INFORMATIONAL:
            msg = f"{value} is informational; an answer needs a final status code"
        else:
            msg = f"{value} is not an HTTP status code that the Plugboard can relay"
        raise ValueError(msg)

    @property
    def status(self) -> str:
        """`success` below 400, else `error`; one published Plugboard reads only this."""
        return "success" if self.status_code < 400 else "error"
