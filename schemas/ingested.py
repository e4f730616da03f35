"""The outcome of accepting a vCon."""

from typing import Literal

from pydantic import BaseModel, Field

Outcome = Literal["new", "duplicate", "replaced"]


class Ingested(BaseModel):
    """`duplicate`: the same content was stored already, and nothing has changed.

    `warnings` about the vCon name their places. `document`: the vCon as it is stored, as JSON; it
    is in no dump.
    """

    uuid: str
    outcome: Outcome
    warnings: list[str] = []
    document: bytes = Field(b"", exclude=True, repr=False)
