"""The base class of the Plugboard's events."""

from typing import Any, ClassVar, override

from pydantic import ConfigDict, Field

from core.action_runner import ActionRunner


class PlugboardEvent(ActionRunner):
    """One message on the service's topic; subclasses define the `event` name and the `payload`.

    `run` gets a `core.interfaces.Client`. A plain `def run` runs inside the read loop and must not
    block; an `async def run` runs in a task. Unknown fields are ignored, so that a newer Plugboard
    can send more.
    """

    model_config = ConfigDict(extra="ignore")

    only_accepts: ClassVar[bool] = False
    """`run` only calls `client.accept`: the client does that itself, without an object of this
    class. Counts for the class that sets it, not for its subclasses."""

    topic: str = Field(description="Channel topic.")
    event: str = Field(description="Event name.")
    payload: Any = Field(description="Content of the message.")
    ref: str | None = Field(None, description="Message ref.")

    @classmethod
    @override
    def discriminator(cls) -> str:
        return str(cls.model_fields["event"].get_default())
