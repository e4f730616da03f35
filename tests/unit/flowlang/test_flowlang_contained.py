"""Exceptions of a plugin's code affect nothing else."""

import asyncio
import sys
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from flowlang.connections.kept import KeptConnections
from flowlang.language.flow import Flow
from flowlang.running import Surroundings, run_flow, run_task
from tests.unit.support.flowlang_plugins import Parcel, Run, parcels, runner

BESIDE = "{parcel_echo: {value: 1}}"
"""Another branch, which succeeds."""


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Runs steps, given as YAML."""
    return runner(parcels(tmp_path), tmp_path)


async def leave(*_: Any) -> None:
    """End the process."""
    sys.exit(3)


async def give_up(*_: Any) -> None:
    """Raise CancelledError without a cancellation, as a client whose connection was closed."""
    raise asyncio.CancelledError


RUDE = [(leave, "called sys.exit(3)"), (give_up, "was cancelled by itself")]


@pytest.mark.parametrize("steps", ["[{task: rude}]", f"[{{parallel: [{{task: rude}}, {BESIDE}]}}]"])
@pytest.mark.parametrize(("rude", "said"), RUDE)
async def test_a_task_ends_nothing_but_itself(run: Run, steps: str, rude: Any, said: str) -> None:
    """Neither alone nor beside others."""
    told = await run(f"steps: {steps}", rude=rude)
    assert told["error"] == f"Task 'rude' failed after 1 attempt: {said}"


@pytest.mark.parametrize("method", ["connect", "get_connection"])
@pytest.mark.parametrize(("rude", "said"), RUDE)
async def test_a_connection_ends_nothing_but_its_own_task(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, method: str, rude: Any, said: str
) -> None:
    """A kept one that is opened by a branch, and one that a flow opens itself."""
    registry = parcels(tmp_path)
    monkeypatch.setattr(Parcel, method, rude)
    kept = KeptConnections(registry=registry, clock=count(step=99).__next__)
    given = {"type": "parcel", "depot": "north"}
    await kept.configure({"depot": given})
    around = Surroundings(kept, registry=registry)
    steps = f"[{{parallel: [{{parcel_where: {{connection: depot}}}}, {BESIDE}]}}]"
    flow = Flow.parse(f"flow: F\nsteps: {steps}")
    own = Flow.parse({**flow.document, "connections": {"depot": given}})
    for told in (
        await run_flow(flow, around=around),
        await run_flow(own, around=around),
        await run_task("parcel_where", "depot", {}, around),
    ):
        assert told["error"].endswith(f"'depot' (parcel): {said}")


@pytest.mark.parametrize("method", ["release_connection", "disconnect"])
@pytest.mark.parametrize(("rude", "said"), RUDE)
async def test_letting_go_ends_nothing(
    run: Run,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    method: str,
    rude: Any,
    said: str,
) -> None:
    """The task's result counts, and a warning is logged."""
    monkeypatch.setattr(Parcel, method, rude)
    told = await run("steps: [{parcel_where: {id: w, connection: depot}}]\noutputs: [w.depot]")
    assert told == {"success": True, "outputs": {"w.depot": "north"}}
    assert said in caplog.text


UNCOMPARABLE = "if: '${inputs.list} in ${inputs.map}'"


@pytest.mark.parametrize(
    "steps",
    [
        f"[{{id: odd, task: any, {UNCOMPARABLE}}}]",
        f"[{{parallel: [{{id: odd, task: any, {UNCOMPARABLE}}}, {BESIDE}]}}]",
    ],
)
async def test_a_step_fails_as_one_whatever_was_raised(run: Run, steps: str) -> None:
    """Its name is reported, with the cause, also by one of several branches."""
    told = await run(f"steps: {steps}", {"list": [1], "map": {"a": 1}})
    assert told == {
        "success": False,
        "error": "TypeError: unhashable type: 'list'",
        "error_type": "FlowExecutionError",
        "step": "odd",
        "cause": "TypeError: unhashable type: 'list'",
    }


async def test_on_error_knows_of_everything(run: Run) -> None:
    """As of a task that failed."""
    told = await run(
        f"""
steps:
  - id: odd
    task: any
    {UNCOMPARABLE}
    on_error: [{{parcel_echo: {{id: seen, value: "${{context.failed_step}}"}}}}]
outputs: [seen.value]
""",
        {"list": [1], "map": {}},
    )
    assert told["outputs"] == {"seen.value": "odd"}
