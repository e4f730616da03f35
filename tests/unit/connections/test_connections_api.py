"""What callers may do with connections, through the real actions: default deny, and whose fault."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from core.action_registry import ActionRegistry
from core.action_response import ActionResponse
from core.rpc.dispatcher import Dispatcher
from flowlang.connections import plugin_registry
from flowlang.connections.connection import Patience
from flowlang.connections.kept import KeptConnections
from pipeline.admin import connections
from pipeline.admin.connections import ConnectionsApi
from pipeline.config.connections import ConnectionSpec, FlowsSpec
from pipeline.config.model import PipelineConfig
from pipeline.connections.registry import ServiceConnections
from pipeline.live_config import Configuration
from pipeline.plugins.loader import Plugins
from tests.unit.support.flowlang_plugins import Parcel, parcels

ACTIONS = ActionRegistry.discover("actions")
EXPOSED = ("parcel_where", "parcel_echo", "parcel_fail", "parcel_wait")
FLOWS = ("where", "ends", "fails", "wants", "gone", "broken", "slow", "halts", "waits")

type Ask = Callable[..., Any]


def connection(name: str, **given: Any) -> ConnectionSpec:
    """One with a secret."""
    return ConnectionSpec(
        name, "parcel", {"type": "parcel", "api_key": "sk_verysecret", **given}, EXPOSED
    )


@pytest.fixture
async def ask(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Ask]:
    """Asks an action of a service with two connections and three flows."""
    parcels(tmp_path)
    plugin_registry.discover_plugins()
    monkeypatch.setitem(plugin_registry._plugins, "parcel", Parcel())
    for name, steps in {
        "where": "[{parcel_where: {id: w, connection: north}}]\noutputs: [w.depot]",
        "hidden": "[]",
        "ends": "[{exit: {reason: enough, outputs: {a: 1}}}]",
        "fails": "[{parcel_fail: {id: bad, connection: north, message: wet}}]",
        "slow": "[{parcel_wait: {connection: north}}]\ntimeout: 0.02",
        "halts": "[{parcel_wait: {id: w, connection: north, timeout: 0.02}}]",
        "waits": "[{parcel_wait: {connection: north}}]",
        "wants": "[]\ninputs: [{name: n, type: integer}]",
        "broken": "[{parcel_echo: {value: 'hunter2222}}]",
    }.items():
        (tmp_path / f"{name}.yaml").write_text(f"flow: F\nsteps: {steps}\n")
    config = PipelineConfig(
        connections={
            "north": connection("north", depot="north"),
            "burnt": connection("burnt", depot="burnt"),
        },
        flows=FlowsSpec(str(tmp_path), FLOWS),
    )
    service = ServiceConnections(config)
    api = ConnectionsApi(Configuration(config, Plugins()), service)
    left = 0.0
    client = SimpleNamespace(
        pipeline=SimpleNamespace(connections=api),
        seconds_left=lambda: left,
        giving_way=nullcontext,
    )
    dispatcher = Dispatcher(ACTIONS, run_blocking=asyncio.to_thread)

    async def asked(action: str, seconds: float = 25.0, **fields: Any) -> ActionResponse:
        nonlocal left
        left = seconds
        return await dispatcher.answer(action, fields, client, None)

    yield asked
    await service.close()


async def test_connections_are_reported_with_health_and_no_secret(ask: Ask) -> None:
    """A broken one says why."""
    answer = await ask("ListConnections")
    assert answer.fields == {
        "connections": [
            {"name": "north", "type": "parcel", "health": "ok", "tasks": list(EXPOSED)},
            {
                "name": "burnt",
                "type": "parcel",
                "health": "Failed to connect 'burnt' (parcel): no way to None with [redacted]",
                "tasks": list(EXPOSED),
            },
        ]
    }


async def test_a_broken_plugin_is_reported_beside_the_others(
    ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By name and type, also to who runs a task of it."""

    def broken(_: object) -> None:
        raise ZeroDivisionError("by zero")

    await ask("RunTask", connection="north", task="parcel_where")
    monkeypatch.setattr(Parcel, "get_config_schema", broken)
    said = "The plugin of connection 'burnt' (parcel) is broken: ZeroDivisionError: by zero"
    told = (await ask("ListConnections")).fields["connections"]
    assert [each["health"] for each in told] == ["ok", said]
    answer = await ask("RunTask", connection="burnt", task="parcel_where")
    assert (answer.status_code, said in answer.message) == (502, True)


async def test_one_that_does_not_answer_is_reported_in_time(
    ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The others do not wait for the slowest."""
    monkeypatch.setattr(connections, "CHECK_SECONDS", 0.02)
    Parcel.hanging = "lend"
    answer = await ask("ListConnections")
    assert answer.fields["connections"][0]["health"] == "no answer within 0.02 s"


@pytest.mark.parametrize(
    ("fields", "code", "said"),
    [
        ({"connection": "north", "task": "parcel_where"}, 200, None),
        ({"connection": "south", "task": "parcel_where"}, 404, "Unknown connection: south"),
        ({"connection": "north", "task": "parcel_nosuch"}, 404, "Unknown task: parcel_nosuch"),
        ({"connection": "north", "task": "parcel_put"}, 403, "north does not expose parcel_put"),
        (
            {"connection": "north", "task": "parcel_where", "params": {"x": 1}},
            400,
            "Task 'parcel_where': got an unexpected keyword argument 'x'",
        ),
        (
            {"connection": "north", "task": "parcel_fail", "params": {"message": "sk_verysecret!"}},
            502,
            "[redacted]!",
        ),
        ({"connection": "burnt", "task": "parcel_where"}, 502, "Failed to connect 'burnt'"),
        (
            {"connection": "north", "task": "parcel_wait", "timeout": 0.02},
            504,
            "did not end within 0.02 s",
        ),
        ({"connection": "north", "task": "parcel_where", "timeout": 0}, 400, "timeout"),
    ],
)
async def test_a_task_is_run_if_it_is_exposed(
    ask: Ask, fields: dict[str, Any], code: int, said: str | None
) -> None:
    """The status shows whose fault it is, the message the reason."""
    answer = await ask("RunTask", **fields)
    assert answer.status_code == code
    if said is None:
        assert answer.fields == {"outputs": {"depot": "north"}}
    else:
        assert said in answer.message


@pytest.mark.parametrize(
    ("fields", "code", "said"),
    [
        ({"flow": "where"}, 200, {"outputs": {"w.depot": "north"}}),
        ({"flow": "ends"}, 200, {"terminated": True, "reason": "enough", "outputs": {"a": 1}}),
        ({"flow": "hidden"}, 403, "the flow hidden is not exposed"),
        ({"flow": "nosuch"}, 404, "Unknown flow: nosuch; known: broken, ends, "),
        ({"flow": "../hidden"}, 404, "Unknown flow"),
        ({"flow": "x" * 5000}, 404, "Unknown flow"),
        ({"flow": "\0"}, 404, "Unknown flow"),
        ({"flow": "wants"}, 400, "Required input 'n' not provided"),
        ({"flow": "gone"}, 404, "Unknown flow: gone"),
        ({"flow": "broken"}, 502, "Flow 'broken' cannot be read: broken.yaml: This is no"),
        ({"flow": "fails"}, 502, "step bad: Task 'parcel_fail' failed after 1 attempt: wet"),
    ],
)
async def test_a_flow_is_run_if_it_is_exposed(
    ask: Ask, fields: dict[str, Any], code: int, said: Any, tmp_path: Path
) -> None:
    """With its outputs, or the step that failed; a file's content and place are never told."""
    answer = await ask("RunFlow", **fields)
    assert answer.status_code == code
    assert said == answer.fields if code == 200 else said in answer.message
    assert str(tmp_path) not in str(answer.message)
    assert "hunter" not in str(answer.message)


async def test_a_failed_flow_names_its_cause_once(ask: Ask) -> None:
    """The step, how often it was tried, what was wrong, and the type of that."""
    answer = await ask("RunFlow", flow="fails")
    told = "step bad: Task 'parcel_fail' failed after 1 attempt: wet (RuntimeError)"
    assert answer.message == told


@pytest.mark.parametrize(
    ("text", "cause", "told"),
    [
        ("no way", "", "no way"),
        ("it failed: OSError: no way", "OSError: no way", "it failed: OSError: no way"),
        ("it failed: no way", "OSError: no way", "it failed: no way (OSError)"),
        ("it failed", "OSError: no way", "it failed (OSError: no way)"),
        ("it failed: KeyError", "KeyError: ", "it failed: KeyError"),
    ],
)
def test_what_is_missing_of_the_cause_is_added(text: str, cause: str, told: str) -> None:
    """No part of it comes twice."""
    assert connections._with_cause(text, cause) == told


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"flow": "slow"}, "Task 'F' timed out after 0.02 s"),
        ({"flow": "halts"}, "step w: Task 'parcel_wait' failed after 1 attempt: Task"),
        ({"flow": "waits", "seconds": 0.02}, "did not end within 0.02 s"),
    ],
)
async def test_a_late_flow_is_reported_as_a_timeout(
    ask: Ask, fields: dict[str, Any], said: str
) -> None:
    """The limit may be set by the flow, a step or the request."""
    answer = await ask("RunFlow", **fields)
    assert (answer.status_code, said in answer.message) == (504, True), answer.message


async def test_a_task_has_no_longer_than_the_request(ask: Ask) -> None:
    """For any `timeout` of the request."""
    wait = {"connection": "north", "task": "parcel_wait", "timeout": 5}
    answer = await ask("RunTask", seconds=0.02, **wait)
    assert (answer.status_code, answer.message) == (504, "did not end within 0.02 s")


@pytest.mark.parametrize("which", ["task", "flow"])
async def test_a_connection_that_opens_late_is_reported_as_a_timeout(
    ask: Ask, monkeypatch: pytest.MonkeyPatch, which: str
) -> None:
    """Not as one that failed."""
    impatient = partial(KeptConnections, patience=Patience(connect=0.02))
    monkeypatch.setattr("pipeline.connections.flows.KeptConnections", impatient)
    Parcel.hanging = "open"
    ways = {"task": {"connection": "north", "task": "parcel_where"}, "flow": {"flow": "where"}}
    answer = await ask(f"Run{which.capitalize()}", **ways[which])
    assert answer.status_code == 504
    assert "did not open within 0.02 s" in answer.message


async def test_the_result_of_a_task_shows_no_secret(ask: Ask) -> None:
    """However deep it stands."""
    value = ["a", {"b": "key sk_verysecret"}]
    answer = await ask("RunTask", connection="north", task="parcel_echo", params={"value": value})
    assert answer.fields == {"outputs": {"value": ["a", {"b": "key [redacted]"}]}}
