"""An action that only waits, as one does that asks a far service."""

import asyncio
from typing import Any, override

from pydantic import Field

from core.action_response import ActionResponse
from core.action_runner import ActionRunner


class Pause(ActionRunner):
    """Answers after a while with what it is given."""

    text: str = Field(description="What to answer")
    seconds: float = Field(description="How long to wait")

    @classmethod
    @override
    def description(cls) -> str:
        return "Wait, then answer with the text"

    @override
    async def run(self, client: Any, websocket: Any) -> ActionResponse:
        await asyncio.sleep(self.seconds)
        return ActionResponse(status_code=200, fields={"text": self.text})
