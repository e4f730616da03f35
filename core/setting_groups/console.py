"""The settings of the console."""

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, Field, SecretStr, field_validator

SHORTEST_PASSWORD = 12
"""Characters of a password of the console."""


class ConsoleSettings(BaseModel, defer_build=True):
    """The console at /console of the HTTP API's port."""

    console: bool = Field(
        True,
        description="Serve the console at /console of the HTTP API's port, if a token or password "
        "opens it.",
    )
    console_password: SecretStr | None = Field(
        None,
        description="A password for operators; tokens of the HTTP API open the console, too.",
    )
    console_password_file: Path | None = Field(
        None, description="File with more of them, one a line; read at the start."
    )
    console_read_password: SecretStr | None = Field(
        None, description="A password of the console for readers, who cannot change anything."
    )
    console_read_password_file: Path | None = Field(
        None, description="File with more of them, one a line; read at the start."
    )
    console_people: Literal["operator", "all", "none"] = Field(
        "operator",
        description="Who sees data about people there (parties, conversations, texts of errors).",
    )
    console_session_hours: float = Field(
        12.0, gt=0, le=720, description="Hours until a session there ends in any case."
    )
    console_idle_minutes: float = Field(
        60.0, ge=1, le=43_200, description="Minutes without a request until it ends."
    )
    console_max_sessions: int = Field(
        100, ge=1, le=1000, description="Sessions of all replicas at once; the oldest one ends."
    )
    console_failed_sign_ins: int = Field(
        10,
        ge=1,
        le=1000,
        description="Wrong passwords there in a minute, of one address; ten times as many of all.",
    )
    console_trust_proxy: bool = Field(
        False,
        description="Believe X-Forwarded-Proto and X-Forwarded-For: only behind a proxy that sets "
        "both.",
    )

    @field_validator("console_password", "console_read_password")
    @classmethod
    def _is_no_short_line(cls, value: SecretStr | None) -> SecretStr | None:
        password = value.get_secret_value() if value else None
        if password is None:
            return None
        if len(password) < SHORTEST_PASSWORD or not password.isprintable():
            msg = f"must be one line of {SHORTEST_PASSWORD} characters or more"
            raise ValueError(msg)
        return value
