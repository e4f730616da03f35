"""Parking: a run leaves its worker for a while, because a step of it has to wait for a destination.

Its claim goes to the delayed retries as `Queues.set_aside` puts it there: the attempt does not
count, and the next one resumes at this step. `pipeline/destinations/gate.py` has the theory.
"""

from core.errors import ConflictError

WAITING = "waits for "
"""The beginning of the text that a parked run has in the place of an error."""
WAITING_TEXT = f"{WAITING}destination "
"""The same where it waits for a destination."""


class Parked(ConflictError):  # noqa: N818 -- control flow, not an error
    """The run has to wait for so many seconds; the text says what for."""

    def __init__(self, text: str, seconds: float) -> None:
        super().__init__(text)
        self.seconds = seconds
