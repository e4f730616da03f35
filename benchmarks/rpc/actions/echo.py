"""The least that an action can do."""

from typing import Any, override

from pydantic import Field

from core.action_response import ActionResponse
from core.action_runner import ActionRunner


class Echo(ActionRunner):
    """Answers with what it is given."""

    text: str = Field(description="What to answer")

    @classmethod
    @override
    def description(cls) -> str:
        return "Answer with the text"

    @override
    async def run(self, client: Any, websocket: Any) -> ActionResponse:
        return ActionResponse(status_code=200, fields={"text": self.text})
