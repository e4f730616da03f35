"""The outcome of accepting a vCon."""

from typing import Literal

from pydantic import BaseModel

Outcome = Literal["new", "duplicate", "replaced"]


class Ingested(BaseModel):
    """`duplicate`: the same content was stored already, and nothing has changed.

    `warnings` about the vCon name their places.
    """

    uuid: str
    outcome: Outcome
    warnings: list[str] = []
