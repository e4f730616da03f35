"""The answer to a request."""

from http import HTTPStatus
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, field_validator

_NOT_RELAYED = {
    HTTPStatus.CONTINUE,
    HTTPStatus.SWITCHING_PROTOCOLS,
    HTTPStatus.PROCESSING,
    HTTPStatus.EARLY_HINTS,
}
"""The Plugboard makes a broken HTTP answer of an informational status."""


class ActionResponse(BaseModel):
    """An HTTP status code, a message for people, and fields for programs.

    Raises:
        ValidationError: for a status code that the Plugboard cannot relay as HTTP.
    """

    model_config = ConfigDict(frozen=True)

    status_code: int = Field(description="HTTP status code, 200 to 599.")
    message: Any = Field(None, description="What happened, in words.")
    fields: Any = Field(None, description="The result.")

    @field_validator("status_code")
    @classmethod
    def _is_relayable(cls, value: int) -> int:
        try:
            status = HTTPStatus(value)
        except ValueError:
            msg = f"{value} is not an HTTP status code that the Plugboard can relay"
            raise ValueError(msg) from None
        if status in _NOT_RELAYED:
            msg = f"{value} is informational; an answer needs a final status code"
            raise ValueError(msg)
        return value

    @property
    def status(self) -> str:
        """`success` below 400, else `error`: the word that one published Plugboard relays by."""
        return "success" if self.status_code < 400 else "error"
