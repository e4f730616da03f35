"""A service in the Plugboard's events."""

from datetime import datetime

from pydantic import BaseModel, ConfigDict


class Service(BaseModel, defer_build=True):
    """One service row of the Plugboard; timestamps are UTC, whole seconds."""

    model_config = ConfigDict(frozen=True)

    id: int
    name: str
    inserted_at: datetime
    updated_at: datetime
