"""Actions that tests run: each does one thing that an action may do."""

import asyncio
import threading
from collections.abc import Callable
from typing import Any, ClassVar, Literal, override

import pytest
from pydantic import Field, field_validator

from core.action_response import ActionResponse
from core.action_runner import ActionRunner


class TestAction(ActionRunner):
    """The base of the others."""

    __test__: ClassVar[bool] = False

    @classmethod
    @override
    def description(cls) -> str:
        return "An action for tests"


class Echo(TestAction):
    """Answers with what it was given."""

    text: str = "nothing"

    @override
    async def run(self, client: Any, websocket: Any) -> ActionResponse:
        return ActionResponse(status_code=200, message=self.text, fields=self.model_dump())


class Hold(TestAction):
    """Begins, and goes on until `go` is set; `ended` when it is over or was cancelled."""

    begun: ClassVar[asyncio.Event]
    go: ClassVar[asyncio.Event]
    ended: ClassVar[asyncio.Event]

    @classmethod
    def prepare(cls, monkeypatch: pytest.MonkeyPatch) -> None:
        """Give it events of the test's own loop."""
        for name in ("begun", "go", "ended"):
            monkeypatch.setattr(cls, name, asyncio.Event(), raising=False)

    @override
    async def run(self, client: Any, websocket: Any) -> ActionResponse:
        self.begun.set()
        try:
            await self.go.wait()
        finally:
            self.ended.set()
        return ActionResponse(status_code=200)


class Blocking(TestAction):
    """A plain `def run`: answers with the thread it ran in."""

    @override
    def run(self, client: Any, websocket: Any) -> ActionResponse:
        return ActionResponse(status_code=200, fields={"thread": threading.current_thread().name})


class Returning(TestAction):
    """Returns the response that the test sets."""

    outcome: ClassVar[Any] = None

    @override
    async def run(self, client: Any, websocket: Any) -> ActionResponse:
        return type(self).outcome  # type: ignore[no-any-return]


class Raising(TestAction):
    """Raises the error that the test sets."""

    error: ClassVar[Callable[[], Exception]] = RuntimeError

    @override
    async def run(self, client: Any, websocket: Any) -> ActionResponse:
        raise type(self).error()


class Strict(TestAction):
    """Has fields of many types, one of them secret."""

    secret_fields: ClassVar[frozenset[str]] = frozenset({"key"})

    number: int
    names: list[str] = Field([], max_length=3)
    kind: Literal["a", "b"] = "a"
    key: int | None = None

    @field_validator("number")
    @classmethod
    def _judged(cls, value: int) -> int:
        if value == 13:
            raise ValueError("13 brings bad luck")
        if value == 0:
            raise ZeroDivisionError
        return value

    @override
    async def run(self, client: Any, websocket: Any) -> ActionResponse:
        return ActionResponse(status_code=200)
