"""Subflows: connections, secrets, and refused calls."""

from pathlib import Path

import pytest

from flowlang.connections import ConnectionPluginRegistry
from flowlang.language.flow import Flow
from flowlang.running import Surroundings, run_flow
from tests.unit.support.flowlang_plugins import Parcel, Run


async def test_an_exit_inside_a_subflow_ends_the_subflow_alone(run: Run, tmp_path: Path) -> None:
    """What it gives stands under the step, and the caller goes on."""
    (tmp_path / "sub.yaml").write_text(
        "flow: S\nsteps: [{exit: {reason: found, outputs: {n: 5}}}, {task: nosuch}]"
    )
    told = await run("""
steps: [{id: s, subflow: sub}, {parcel_echo: {id: after, value: "${s.n}"}}]
outputs: [after.value]
""")
    assert told == {"success": True, "outputs": {"after.value": 5}}


async def test_a_subflow_uses_its_callers_connections(run: Run, tmp_path: Path) -> None:
    """Twice at once, with inputs and outputs; nothing is opened twice or closed early."""
    (tmp_path / "sub.yaml").write_text("""
flow: Sub
inputs: [{name: n, type: integer}, {name: twice, default: 2}]
steps:
  - parcel_put: {id: put, connection: depot, number: "${inputs.n}", content: "${inputs.twice}"}
outputs: [{name: number, value: "${put.number}"}]
""")
    told = await run("""
steps:
  - parallel:
      - {id: one, subflow: sub, inputs: {n: 1}}
      - {id: two, subflow: sub.yaml, inputs: {n: 2}}
  - parcel_get: {id: got, connection: depot, number: "${two.number}"}
outputs: [one.number, got.content]
""")
    assert told["outputs"] == {"one.number": 1, "got.content": 2}
    assert [entry for entry in Parcel.log if "north" in entry] == ["open north", "close north"]


async def test_a_subflows_secrets_are_left_out_as_well(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those of its variables, and what it is given under the name of one."""
    monkeypatch.setenv("PARTNER_TOKEN", "tok-99887766")
    monkeypatch.setenv("PARTNER_URL", "https://me:opensesame@h")
    (tmp_path / "sub.yaml").write_text("""
flow: Sub
inputs: [password, {name: fail, type: boolean}]
steps:
  - parcel_echo: {id: seen, value: "${env.PARTNER_TOKEN} ${env.PARTNER_URL} ${inputs.password}"}
  - parcel_fail: {if: "${inputs.fail}", connection: depot, message: "${seen.value}"}
outputs: [seen.value]
""")
    call = "steps: [{id: s, subflow: sub, inputs: {password: pass-word, fail: %s}}]\noutputs: [s]"
    for fail in ("true", "false"):
        told = str(await run(call % fail))
        assert "[redacted] https://me:[redacted]@h [redacted]" in told or fail == "true"
        assert not any(secret in told for secret in ("tok-", "opensesame", "pass-word"))


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("nosuch", "There is no flow 'nosuch' in"),
        ("../outside", "There is no flow '../outside' in"),
        ("loop", "Subflow 'loop' would call itself: loop -> loop"),
        ("bad", "must have a 'flow' name"),
        ("failing", "Subflow 'failing' failed: Task 'nosuch' not found"),
    ],
)
async def test_a_subflow_that_cannot_be_is_reported(
    run: Run, tmp_path: Path, name: str, said: str
) -> None:
    """No file outside the folder, no flow that calls itself."""
    (tmp_path.parent / "outside.yaml").write_text("flow: Outside\nsteps: []")
    (tmp_path / "loop.yaml").write_text("flow: Loop\nsteps: [{subflow: loop}]")
    (tmp_path / "bad.yaml").write_text("steps: []")
    (tmp_path / "failing.yaml").write_text("flow: F\nsteps: [{task: nosuch}]")
    told = await run(f"steps: [{{id: s, subflow: '{name}'}}]")
    assert told["step"] == "s"
    assert said in told["error"]


async def test_a_flow_that_calls_itself_is_refused_before_it_runs_again(
    registry: ConnectionPluginRegistry, tmp_path: Path
) -> None:
    """What stands before the call has happened once; also by way of another flow."""
    (tmp_path / "main.yaml").write_text("flow: M\nsteps: [{task: note}, {id: s, subflow: other}]")
    (tmp_path / "other.yaml").write_text("flow: O\nsteps: [{id: s, subflow: main}]")
    notes: list[str] = []
    around = Surroundings(tasks={"note": lambda: notes.append("once")}, registry=registry)
    told = await run_flow(Flow.read(tmp_path / "main.yaml"), around=around)
    assert told["cause"].endswith("Subflow 'main' would call itself: main -> other -> main")
    assert notes == ["once"]
