"""The outcome of accepting a vCon."""

from typing import Literal

from pydantic import BaseModel, Field

IN_REDIS_ALONE = "custody: Postgres is away, so the vCon is kept in Redis alone"
"""The warning about a vCon that was accepted so."""
Outcome = Literal["new", "duplicate", "replaced"]


class Ingested(BaseModel, defer_build=True):
    """`duplicate`: the same content was stored already, and nothing has changed.

    `warnings` about the vCon name their places. `document` is the vCon in canonical form, as it was
    stored when it came in; links may have changed it since.
    """

    uuid: str
    outcome: Outcome
    warnings: list[str] = []
    document: bytes = Field(b"", exclude=True, repr=False)

    @property
    def in_redis_alone(self) -> bool:
        """Whether Redis alone keeps the vCon, since Postgres was away."""
        return IN_REDIS_ALONE in self.warnings
