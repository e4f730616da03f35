"""The response to each kind of request and outcome."""

import asyncio
import logging
import tracemalloc
from collections.abc import Sequence
from typing import Any, ClassVar, Self, override

import pytest
from pydantic import Field, ValidationError, model_validator

from core import errors
from core.action_response import ActionResponse
from core.errors import STATUS_OF
from core.rpc.dispatcher import MOST_PROBLEMS, Dispatcher
from tests.unit.support.actions_for_tests import Blocking, Echo, Hold, Raising, Returning, Strict

ACTIONS = {cls.__name__: cls for cls in (Blocking, Echo, Hold, Raising, Returning, Strict)}


async def in_thread(function: Any) -> Any:
    """Stands for the bounded pool."""
    return await asyncio.to_thread(function)


async def answer(name: object, fields: object = None) -> ActionResponse:
    """The answer to one request."""
    dispatcher = Dispatcher(ACTIONS, run_blocking=in_thread)
    return await dispatcher.answer(name, {} if fields is None else fields, None, None)


async def test_an_action_answers() -> None:
    """The action's own response is the answer."""
    response = await answer("Echo", {"text": "x"})
    assert response == ActionResponse(status_code=200, message="x", fields={"text": "x"})


async def test_an_action_gets_client_and_websocket() -> None:
    """`run` is called with what the dispatcher was given."""
    seen: list[object] = []

    class Seeing(Echo):
        async def run(self, client: Any, websocket: Any) -> ActionResponse:
            seen.extend((client, websocket))
            return ActionResponse(status_code=200)

    dispatcher = Dispatcher({"Seeing": Seeing}, run_blocking=in_thread)
    await dispatcher.answer("Seeing", {}, "client", "websocket")
    assert seen == ["client", "websocket"]


async def test_a_blocking_action_runs_in_a_thread() -> None:
    """A plain `def run` goes through `run_blocking`."""
    response = await answer("Blocking")
    assert response.fields["thread"] != "MainThread"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("Eco", "Unknown action: Eco"),
        ("", "Unknown action: "),
        ("x" * 500, "Unknown action: " + "x" * 100),
        (None, "Unknown action: its name must be text, not null"),
        ([], "Unknown action: its name must be text, not a list"),
        (["Echo"], "Unknown action: its name must be text, not a list"),
        ({}, "Unknown action: its name must be text, not an object"),
        (7, "Unknown action: its name must be text, not a number"),
        (1.5, "Unknown action: its name must be text, not a number"),
        (True, "Unknown action: its name must be text, not a boolean"),
    ],
)
async def test_an_unknown_action_is_404(name: object, message: str) -> None:
    """A name that nothing has, and what is no name at all, is answered with 404."""
    response = await answer(name)
    assert (response.status_code, response.message) == (404, message)


@pytest.mark.parametrize("fields", ["text", 1, [], [1], True, 0, ""])
async def test_fields_that_are_not_an_object_are_400(fields: object) -> None:
    """`fields` must be an object."""
    response = await answer("Echo", fields)
    assert response.status_code == 400
    assert response.message == "Invalid fields for Echo: fields: must be an object"


async def test_fields_that_are_null_are_400() -> None:
    """`fields: null` is no empty object."""
    dispatcher = Dispatcher(ACTIONS, run_blocking=in_thread)
    response = await dispatcher.answer("Echo", None, None, None)
    assert (response.status_code, response.message) == (
        400,
        "Invalid fields for Echo: fields: must be an object",
    )


@pytest.mark.parametrize(
    ("fields", "problems"),
    [
        ({}, "number: must be given"),
        ({"number": 1, "colour": 2}, "colour: there is no such field"),
        ({"number": 1, "c" * 500: 2}, "c" * 100 + ": there is no such field"),
        ({"number": 13}, "number: 13 brings bad luck"),
        ({"number": 1, "kind": "c"}, "kind: Input should be 'a' or 'b'"),
        ({"number": 1, "names": ["a", 5]}, "names.1: Input should be a valid string"),
        (
            {"number": None, "names": "x"},
            "number: Input should be a valid integer; names: Input should be a valid list",
        ),
    ],
)
async def test_every_wrong_field_is_named(fields: object, problems: str) -> None:
    """A 400 says of each field what was expected."""
    response = await answer("Strict", fields)
    assert (response.status_code, response.fields) == (400, None)
    assert response.message == f"Invalid fields for Strict: {problems}"


async def test_a_secret_value_is_not_echoed() -> None:
    """Of a secret field the answer says that it is wrong, and nothing more."""
    response = await answer("Strict", {"number": "7-up", "key": "s3cret-key"})
    assert response.message == (
        "Invalid fields for Strict: number: Input should be a valid integer, unable to parse "
        "string as an integer; key: is not valid"
    )


class Paired(Strict):
    """Judges its fields together, and quotes one that is secret."""

    @model_validator(mode="after")
    def _judged_together(self) -> Self:
        raise ValueError(f"{self.key} does not open {self.kind}")


async def test_a_secret_value_is_not_echoed_by_others() -> None:
    """Neither by a validator of the whole request, which may quote any field."""
    dispatcher = Dispatcher({"Paired": Paired}, run_blocking=in_thread)
    response = await dispatcher.answer("Paired", {"number": 1, "key": 4711}, None, None)
    assert response.message == "Invalid fields for Paired: fields: is not valid"
    response = await dispatcher.answer("Paired", {"number": 1}, None, None)
    assert response.message == "Invalid fields for Paired: fields: None does not open a"


async def test_an_endless_list_of_mistakes_is_cut() -> None:
    """A caller who sends a thousand wrong fields gets an answer that can be read."""
    response = await answer("Strict", {"number": 1} | {f"f{n}": n for n in range(1_000)})
    assert response.message.count("there is no such field") == MOST_PROBLEMS
    assert response.message.endswith(f"; and {1_000 - MOST_PROBLEMS} more")


class Listing(Echo):
    """Takes collections of whole numbers."""

    numbers: list[int] = Field([])
    nested: tuple[list[int], ...] = ()
    optional: Sequence[int] | None = None
    unique: set[int] = Field(set())


@pytest.mark.parametrize(
    "fields",
    [
        {"numbers": ["x"] * 100_000},
        {"nested": [["x"] * 300] * 300},
        {"optional": ["x"] * 100_000},
        {"unique": ["x"] * 100_000},
        {f"f{number}": 1 for number in range(100_000)},
    ],
    ids=lambda fields: next(iter(fields)),
)
async def test_very_many_mistakes_take_little_memory(fields: dict[str, object]) -> None:
    """Only the first invalid element of a list is reported; many unknown fields are counted."""
    dispatcher = Dispatcher({"Listing": Listing}, run_blocking=in_thread)
    await dispatcher.answer("Listing", {"numbers": ["x"]}, None, None)
    tracemalloc.start()
    try:
        response = await dispatcher.answer("Listing", fields, None, None)
        _, memory = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert response.status_code == 400
    assert "Input should be a valid" in response.message or "100000 fields" in response.message
    assert memory < 1_000_000


RAISED: list[tuple[Exception, int, str]] = [
    (errors.InvalidError("bad: a; b", ["a", "b"]), 400, "bad: a; b"),
    (errors.ForbiddenError("no"), 403, "no"),
    (errors.UnknownNameError("chain", "x", ["b", "a"]), 404, "Unknown chain: x; known: a, b"),
    (errors.ConflictError("busy"), 409, "busy"),
    (errors.GoneError("u"), 410, "vCon u was erased; its uuid is not accepted again"),
    (errors.TooLargeError("big"), 413, "big"),
    (errors.RateLimitedError("slow down"), 429, "slow down"),
    (errors.PluginFailedError("plugin"), 502, "plugin"),
    (errors.TooLateError("late"), 504, "late"),
    (errors.UnusableKeyError("calls is a string"), 503, "calls is a string"),
    (errors.UnavailableError("away"), 503, "away"),
    (
        errors.UnavailableError(),
        503,
        "A server that this service depends on is not available; try again later.",
    ),
]


@pytest.mark.parametrize(("error", "status", "message"), RAISED)
async def test_each_error_has_its_status(
    error: Exception, status: int, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An error of the service is answered with its status and its message."""
    monkeypatch.setattr(Raising, "error", lambda: error)
    response = await answer("Raising")
    assert (response.status_code, response.message, response.fields) == (status, message, None)


def test_every_error_of_the_caller_is_tried_here() -> None:
    """No entry of the table from error to status is left out above."""
    assert {type(error): status for error, status, _ in RAISED} == STATUS_OF


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("inside: s3cret"),
        KeyError("s3cret"),
        TimeoutError("s3cret"),
        errors.ConfigurationError("s3cret"),
        errors.PatchcordError("s3cret"),
    ],
)
async def test_anything_else_is_an_incident(
    error: Exception, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The caller gets an id and no internals; the log has the id and the traceback."""
    monkeypatch.setattr(Raising, "error", lambda: error)
    response = await answer("Raising")
    assert response.status_code == 500
    assert "s3cret" not in response.message
    [record] = [each for each in caplog.records if each.levelno == logging.ERROR]
    assert response.message.endswith(f"incident {record.incident}")
    assert record.action == "Raising"
    assert record.exc_info[1] is error


async def test_a_validator_that_breaks_is_an_incident() -> None:
    """An error in an action's validation that is not the caller's is a 500."""
    response = await answer("Strict", {"number": 0})
    assert response.status_code == 500


async def test_an_impossible_status_is_an_incident(monkeypatch: pytest.MonkeyPatch) -> None:
    """A response that cannot be built is the action's fault, not a wrong field of the caller."""

    def build() -> Exception:
        with pytest.raises(ValidationError) as raised:
            ActionResponse(status_code=999)
        return raised.value

    monkeypatch.setattr(Raising, "error", build)
    assert (await answer("Raising")).status_code == 500


@pytest.mark.parametrize("outcome", [None, {"status_code": 200}, "done", 200])
async def test_an_action_must_return_a_response(
    outcome: object, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Anything but an ActionResponse is an incident that names the type."""
    monkeypatch.setattr(Returning, "outcome", outcome)
    assert (await answer("Returning")).status_code == 500
    assert f"run() returned {type(outcome).__name__}" in caplog.text


class Ending(Echo):
    """Ends in a way that an action should not."""

    how: ClassVar[type[BaseException]]

    @override
    async def run(self, client: Any, websocket: Any) -> ActionResponse:
        raise type(self).how


@pytest.mark.parametrize("how", [SystemExit, GeneratorExit, asyncio.CancelledError, StopIteration])
async def test_an_action_that_raises_an_exit_is_an_incident(
    how: type[BaseException], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither does the process end with it, nor is the caller left without an answer."""
    monkeypatch.setattr(Ending, "how", how, raising=False)
    dispatcher = Dispatcher({"Ending": Ending}, run_blocking=in_thread)
    assert (await dispatcher.answer("Ending", {}, None, None)).status_code == 500


async def test_a_cancelled_request_raises(monkeypatch: pytest.MonkeyPatch) -> None:
    """A cancellation from outside is raised, not answered."""
    Hold.prepare(monkeypatch)
    answering = asyncio.create_task(answer("Hold"))
    await Hold.begun.wait()
    answering.cancel()
    with pytest.raises(asyncio.CancelledError):
        await answering


async def test_failures_are_logged_and_mistakes_of_callers_are_not(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Below 500 there is nothing for the operator to do."""
    caplog.set_level(logging.INFO)
    await answer("Echo")
    await answer("Eco")
    await answer("Echo", [])
    monkeypatch.setattr(Raising, "error", errors.ConflictError)
    await answer("Raising")
    assert caplog.records == []
    monkeypatch.setattr(Raising, "error", errors.UnavailableError)
    await answer("Raising")
    assert [(each.levelname, each.action) for each in caplog.records] == [("WARNING", "Raising")]
