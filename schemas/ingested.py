"""What came of taking a vCon in."""

from typing import Literal

from pydantic import BaseModel

Outcome = Literal["new", "duplicate", "replaced"]


class Ingested(BaseModel):
    """`duplicate`: this very content was here already, and nothing has changed.

    `warnings` are what is odd about the vCon, each with its place.
    """

    uuid: str
    outcome: Outcome
    warnings: list[str] = []
