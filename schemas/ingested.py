"""The outcome of accepting a vCon."""

from typing import Literal

from pydantic import BaseModel, Field

Outcome = Literal["new", "duplicate", "replaced"]


class Ingested(BaseModel):
    """`duplicate`: the same content was stored already, and nothing has changed.

    `warnings` about the vCon name their places. `document` is the vCon in canonical form, as it was
    stored when it came in; links may have changed it since.
    """

    uuid: str
    outcome: Outcome
    warnings: list[str] = []
    document: bytes = Field(b"", exclude=True, repr=False)
