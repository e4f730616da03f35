"""What came of taking a vCon in."""

from typing import Literal

from pydantic import BaseModel

Outcome = Literal["new", "duplicate", "replaced"]


class Ingested(BaseModel):
    """`duplicate`: this very content was here already, and nothing has changed."""

    uuid: str
    outcome: Outcome
