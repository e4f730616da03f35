"""Runs: tasks that are not found, shared connections, and results for JSON."""

import asyncio
import json
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest

from flowlang.connections import ConnectionPluginRegistry
from flowlang.connections.manager import ConnectionManager
from flowlang.language.flow import Flow
from flowlang.running import Surroundings, run_flow
from tests.unit.support.flowlang_plugins import HEAD, Parcel, Run


@pytest.mark.parametrize(
    ("step", "said"),
    [
        (
            "{parcel_put: {connection: depot, nummer: 1}}",
            "Task 'parcel_put': missing a required argument: 'number';"
            " its parameters are: number, content",
        ),
        ("{parcel_gat: {connection: depot}}", "Task 'parcel_gat' not found. Tasks of 'parcel': "),
        ("{nosuch: {}}", "Task 'nosuch' not found. No connection plugin has a task of this name"),
        ("{parcel_get: {number: 1}}", "Task 'parcel_get' requires a connection but none specified"),
        ("{parcel_get: {connection: x, number: 1}}", "Connection 'x' not found. Available"),
        ("{parcel_echo: {value: '${nosuch.x}'}}", "Cannot resolve ${nosuch.x}: the flow has "),
        ("{parcel_echo: {depends_on: before}}", "'before', which it depends on, has no result"),
    ],
)
async def test_a_step_that_cannot_be_run_is_reported(run: Run, step: str, said: str) -> None:
    """With what there is, and never tried twice."""
    told = await run(f"steps: [{step}]")
    assert told["error"].startswith(said)
    assert told["step"] == "steps[0]"


async def test_a_plugin_that_cannot_list_its_tasks_hides_no_others(
    run: Run, registry: ConnectionPluginRegistry
) -> None:
    """It is reported where a task is not found."""

    class Broken(Parcel):
        name = "a_broken_one"

        def get_builtin_tasks(self) -> dict[str, Any]:
            raise KeyError("rows")

    registry.register(Broken())
    assert (await run("steps: [{parcel_echo: {value: 1}}]"))["success"] is True
    told = await run("steps: [{task: nosuch}]")
    assert told["error"].endswith("; Plugin 'a_broken_one' has no list of tasks: 'rows'")


async def test_a_connection_that_does_not_open_is_the_flows_result(run: Run) -> None:
    """No step runs."""
    told = await run("steps: [{task: nosuch}]", head="flow: F\nconnections: {c: {type: zzz}}\n")
    assert told["error_type"] == "ConnectionNotFoundError"
    told = await run("steps: []", head="flow: F\nconnections:\n")
    assert told == {"success": True, "outputs": {}}


async def test_a_run_uses_the_connections_it_is_given(registry: ConnectionPluginRegistry) -> None:
    """A name is looked for in the flow first, then around it."""
    given = {name: {"type": "parcel", "depot": name} for name in ("depot", "other")}
    flow = Flow.parse(
        HEAD
        + """
steps:
  - parcel_where: {id: a, connection: depot}
  - parcel_where: {id: b, connection: other}
outputs: [a.depot, b.depot]
"""
    )
    async with ConnectionManager(given, registry=registry) as outer:
        told = await run_flow(flow, around=Surroundings(outer, registry=registry))
        assert told["outputs"] == {"a.depot": "north", "b.depot": "other"}
        assert Parcel.log[-1] == "close north"


async def test_runs_at_the_same_time_share_nothing(run: Run) -> None:
    """Each of many runs sees what it has put itself."""
    steps = """
steps:
  - parcel_put: {connection: depot, number: n, content: "${inputs.i}"}
  - parcel_get: {id: got, connection: depot, number: n}
outputs: [got.content]
"""
    told = await asyncio.gather(*(run(steps, {"i": i}) for i in range(20)))
    assert [each["outputs"]["got.content"] for each in told] == list(range(20))
    assert len({id(plugin) for plugin in Parcel.opened}) == 20


async def test_results_are_fit_for_json_and_without_secrets(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Any value of a driver; secrets of the configuration, of inputs, of the environment."""
    monkeypatch.setenv("SHOP_TOKEN", "tok-99887766")
    moment = datetime(2026, 1, 2, tzinfo=UTC)

    def things() -> dict[str, Any]:
        return {1: [moment, Decimal("1.10"), UUID(int=1), b"a", float("nan"), {3}, (4,)]}

    told = await run(
        """
steps: [{task: things, id: t}]
outputs:
  - {name: t, value: "${t}"}
  - {name: s, value: "sk_verysecret ${env.SHOP_TOKEN} ${inputs.password}"}
""",
        {"password": "opensesame"},
        things=things,
    )
    assert json.loads(json.dumps(told["outputs"])) == {
        "t": {
            "1": [
                "2026-01-02T00:00:00+00:00",
                "1.10",
                "00000000-0000-0000-0000-000000000001",
                "YQ==",
                None,
                [3],
                [4],
            ]
        },
        "s": "[redacted] [redacted] [redacted]",
    }
