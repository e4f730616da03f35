"""Flows: both forms of a step, what steps refer to, every kind of step, and what a run tells."""

import asyncio
import json
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
import yaml

from flowlang.connections import ConnectionPluginRegistry
from flowlang.connections.manager import ConnectionManager
from flowlang.exceptions import FlowExecutionError, FlowValidationError
from flowlang.language.conditions import holds
from flowlang.language.flow import Flow
from flowlang.language.references import resolved
from flowlang.language.retry import Retry
from flowlang.running import Surroundings, run_flow
from tests.unit.support.flowlang_plugins import HEAD, Parcel, Run, parcels, runner


@pytest.fixture
def registry(tmp_path: Path) -> ConnectionPluginRegistry:
    """One that knows parcels alone."""
    return parcels(tmp_path)


@pytest.fixture
def run(registry: ConnectionPluginRegistry, tmp_path: Path) -> Run:
    """Runs steps, given as YAML."""
    return runner(registry, tmp_path)


async def test_both_forms_of_a_step_are_the_same(run: Run) -> None:
    """A task's name as the only key, and `task` with `inputs`."""
    told = await run(
        """
inputs:
  - {name: what, type: string, required: true}
steps:
  - parcel_put:
      id: put
      connection: depot
      number: "a-1"
      content: {what: "${inputs.what}", tags: [one, "${inputs.what}"]}
      outputs:
        - count
  - task: parcel_get
    id: got
    connection: depot
    inputs: {number: "${put.number}"}
outputs:
  - name: first
    value: ${got.content.tags[-1]}
  - name: all
    value: "${put.count}: ${got.content} of ${got.rows[0].n}"
  - put.number
""",
        {"what": "hat"},
    )
    assert told == {
        "success": True,
        "outputs": {
            "first": "hat",
            "all": '1: {"what": "hat", "tags": ["one", "hat"]} of a-1',
            "put.number": "a-1",
        },
    }
    lending = ["lend", "take back"]
    assert Parcel.log == ["open north", *lending, *lending, "close north"]


async def test_a_description_below_a_tasks_name_is_a_parameter(run: Run) -> None:
    """As whatever the task takes; beside `task` it is for readers."""

    def sell(summary: str, description: str = "nothing") -> dict[str, str]:
        return {"sold": f"{summary}: {description}"}

    told = await run(
        """
steps:
  - sell: {id: a, summary: hat, description: of felt}
  - {task: sell, id: b, description: for readers, inputs: {summary: cap}}
outputs: [a.sold, b.sold]
""",
        sell=sell,
    )
    assert list(told["outputs"].values()) == ["hat: of felt", "cap: nothing"]


async def test_a_failing_task_gives_back_on_every_attempt_and_tells_why(run: Run) -> None:
    """Step and cause are told, secrets are not, and the connection is closed."""
    told = await run("""
steps:
  - parcel_fail: {id: bad, connection: depot, message: no sk_verysecret here, retry:
      {max_attempts: 3, delay: 0}}
""")
    assert told == {
        "success": False,
        "error": "Task 'parcel_fail' failed after 3 attempts: no [redacted] here",
        "error_type": "MaxRetriesExceededError",
        "step": "bad",
        "cause": "RuntimeError: no [redacted] here",
    }
    assert Parcel.log == ["open north", *["lend", "take back"] * 3, "close north"]


async def test_a_task_is_tried_until_it_succeeds(run: Run) -> None:
    """`retry: 3` is three attempts."""
    told = await run("""
steps:
  - parcel_fail:
      {id: x, connection: depot, message: m, times: 2, retry: {max_attempts: 3, delay: 0}}
outputs: [x.after]
""")
    assert told["outputs"] == {"x.after": 3}


async def test_a_cancelled_run_tries_nothing_again_and_closes(run: Run) -> None:
    """Cancelling ends the task, gives back and closes."""
    task = asyncio.create_task(
        run("""
steps:
  - parcel_wait: {connection: depot, retry: 5, on_error: continue}
""")
    )
    await Parcel.waiting.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert Parcel.log == ["open north", "lend", "take back", "close north"]


async def test_steps_end_after_their_time(run: Run) -> None:
    """A task's timeout counts for each attempt; a block and the flow have theirs."""
    told = await run("steps: [{parcel_wait: {id: w, connection: depot, timeout: 0.01}}]")
    assert told["cause"] == "TimeoutError: Task 'parcel_wait' timed out after 0.01 s"
    told = await run("""
steps:
  - {id: block, parallel: [{parcel_wait: {connection: depot}}], timeout: 0.01}
""")
    assert (told["error_type"], told["step"]) == ("TimeoutError", "block")
    told = await run("timeout: 0.01\nsteps: [{parcel_wait: {connection: depot}}]")
    assert told["error"] == "Task 'Test' timed out after 0.01 s"
    assert Parcel.log[-2:] == ["take back", "close north"]


async def test_on_error_goes_on_with_what_it_knows(run: Run) -> None:
    """Its steps see the error; `continue` needs none."""
    told = await run("""
steps:
  - parcel_fail:
      id: bad
      connection: depot
      message: wet code-77
      on_error:
        - parcel_echo: {id: seen, value: "${context.failed_step}: ${context.last_error}"}
  - task: nosuch_task
    on_error: continue
  - parcel_echo: {id: after, value: 1}
outputs: [seen.value, after.value]
""")
    assert told["outputs"] == {
        "seen.value": "bad: Task 'parcel_fail' failed after 1 attempt: wet [redacted]",
        "after.value": 1,
    }


async def test_if_switch_and_conditions_of_tasks_choose(run: Run) -> None:
    """The branches not taken leave no results."""
    steps = """
steps:
  - if: ${inputs.n} > 3 and not ${inputs.late}
    then: [{parcel_echo: {id: size, value: big}}]
    else: [{parcel_echo: {id: size, value: small}}]
  - switch: ${inputs.n}
    cases:
      - {when: [1, 2], do: [{parcel_echo: {id: case, value: few}}]}
      - {when: "7", do: [{parcel_echo: {id: case, value: seven}}]}
      - default: [{parcel_echo: {id: case, value: other}}]
  - parcel_echo: {id: never, value: 1, if: "${inputs.n} == 0"}
outputs:
  - {name: told, value: "${size.value} ${case.value} ${never.value:-no}"}
"""
    for n, late, said in (
        (7, False, "big seven no"),
        (2, True, "small few no"),
        (
            0,
            True,
            "small other 1",
        ),
    ):
        told = await run(steps, {"n": n, "late": late})
        assert told["outputs"]["told"] == said


async def test_for_each_tells_every_round_and_keeps_the_last(run: Run) -> None:
    """The variable stands alone and among the inputs."""
    told = await run(
        """
steps:
  - id: loop
    for_each: ${inputs.names}
    as: name
    do:
      - parcel_put: {id: put, connection: depot, number: "${name}", content: "${inputs.name}"}
outputs: [loop.count, put.number, "loop.results[0].put.count"]
""",
        {"names": ["a", "b"]},
    )
    assert list(told["outputs"].values()) == [2, "b", 1]
    told = await run("steps: [{for_each: '${inputs.n}', do: []}]", {"n": 3})
    assert told["error"] == "for_each needs a list, not int"


async def test_parallel_branches_run_at_once_and_fail_together(run: Run) -> None:
    """Branches wait for each other; the first failure cancels the rest, which give back."""
    met = asyncio.Barrier(2)

    async def meet() -> None:
        async with asyncio.timeout(5):
            await met.wait()

    told = await run(
        """
steps:
  - parallel:
      - task: meet
      - - task: meet
        - parcel_echo: {id: after, value: done}
outputs: [after.value]
""",
        meet=meet,
    )
    assert told["outputs"] == {"after.value": "done"}
    told = await run("""
steps:
  - parallel:
      - parcel_wait: {connection: depot}
      - parcel_fail: {id: bad, connection: depot, message: wet}
""")
    assert (told["step"], told["cause"]) == ("bad", "RuntimeError: wet")
    assert Parcel.log.count("lend") == Parcel.log.count("take back") == 2


async def test_exit_ends_the_flow_with_success(run: Run) -> None:
    """Reason and outputs are told, the rest is not run."""
    told = await run(
        """
steps:
  - parallel:
      - exit: {reason: "found ${inputs.n}", outputs: {n: "${inputs.n}"}}
      - parcel_wait: {connection: depot}
  - task: nosuch_task
""",
        {"n": 5},
    )
    assert told == {
        "success": True,
        "terminated": True,
        "reason": "found 5",
        "outputs": {"n": 5},
    }


@pytest.mark.parametrize("branches", ["{exit: found}, {task: fail}", "{task: fail}, {exit: found}"])
async def test_an_exit_does_not_hide_a_branch_that_failed(run: Run, branches: str) -> None:
    """When both happen at once, the flow has failed."""

    async def fail() -> None:
        raise RuntimeError("wet")

    told = await run(f"steps: [{{parallel: [{branches}]}}]", fail=fail)
    assert (told["success"], told.get("cause")) == (False, "RuntimeError: wet")


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
async def test_a_subflow_that_cannot_be_is_told(
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


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("steps: []", "Flow definition must have a 'flow' name"),
        ("flow: F", "Flow definition must have 'steps'"),
        ("flow: F\nsteps: {}", "'steps' must be a list"),
        ("flow: F\nsteps: [", "This is no YAML"),
        ("flow: F\nsteps: []\ntriggers: []", "Flow definition: unknown triggers; known are"),
        ("flow: F\nsteps: [3]", "steps[0]: a step is a mapping"),
        ("flow: F\nsteps: [{a: {}, b: {}}]", "steps[0]: this is no step: a, b"),
        ("flow: F\nsteps: [{task: a, exit: b}]", "is one of task and exit, not both"),
        ("flow: F\nsteps: [{t: 3}]", "steps[0]: what stands under 't' must be a mapping"),
        ("flow: F\nsteps: [{task: t, retries: 3}]", "steps[0]: unknown retries; known are"),
        ("flow: F\nsteps: [{t: {retry: {max_attempts: 0}}}]", "steps[0]: retry.max_attempts"),
        ("flow: F\nsteps: [{t: {retry: {times: 2}}}]", "steps[0]: retry is a number"),
        ("flow: F\nsteps: [{t: {timeout: soon}}]", "steps[0]: 'timeout' is a number of seconds"),
        ("flow: F\nsteps: [{t: {id: env}}]", "steps[0].id: 'env' is no name"),
        ("flow: F\nsteps: [{t: {id: a}}, {t: {id: a}}]", "steps: two steps have the id 'a'"),
        ("flow: F\nsteps: [{switch: 1, cases: [{if: 1}]}]", "steps[0].cases[0]: a case has"),
        ("flow: F\nsteps: [{for_each: [1]}]", "'steps[0].do' must be a list"),
        ("flow: F\nsteps: []\ninputs: [{name: a, type: colour}]", "type 'colour' is none of"),
    ],
)
def test_mistakes_are_told_with_their_place(text: str, said: str) -> None:
    """Before anything runs."""
    with pytest.raises(FlowValidationError) as caught:
        Flow.parse(text)
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("key: 'hunter2222", "line 1, column 17: found unexpected end of stream"),
        ("key: *hunter2222", "line 1, column 6: found undefined alias '...'"),
        (
            "key: !hunter2222 x",
            "line 1, column 6: could not determine a constructor for the tag '...'",
        ),
        ("key: 2222-22-22", "ValueError"),
        ("key: \0hunter2222", "ReaderError"),
    ],
)
def test_a_file_that_is_no_yaml_is_told_without_a_word_of_it(
    tmp_path: Path, text: str, problem: str
) -> None:
    """The place is enough; what stands there may be a secret. The folder is nobody's business."""
    (tmp_path / "f.yaml").write_text(text)
    with pytest.raises(FlowValidationError) as caught:
        Flow.read(tmp_path / "f.yaml")
    assert str(caught.value) == f"f.yaml: This is no YAML: {problem}"
    with pytest.raises(FlowValidationError, match=r"^gone\.yaml: No such file"):
        Flow.read(tmp_path / "gone.yaml")


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({}, "Required input 'n' not provided"),
        ({"n": "1"}, "Input 'n' must be integer, not str"),
        ({"n": True}, "Input 'n' must be integer, not bool"),
        ({"n": 1, "m": 2}, "Unknown input m; inputs are: n, s"),
    ],
)
async def test_inputs_are_checked_before_anything_is_opened(
    run: Run, given: dict[str, Any], said: str
) -> None:
    """A missing, a wrong and an unknown one."""
    told = await run("inputs: [{name: n, type: int}, {name: s, default: x}]\nsteps: []", given)
    assert (told["error"], told["error_type"]) == (said, "FlowValidationError")
    assert Parcel.log == []


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
async def test_a_step_that_cannot_be_run_is_told(run: Run, step: str, said: str) -> None:
    """With what there is, and never tried twice."""
    told = await run(f"steps: [{step}]")
    assert told["error"].startswith(said)
    assert told["step"] == "steps[0]"


async def test_a_plugin_that_cannot_tell_its_tasks_hides_no_others(
    run: Run, registry: ConnectionPluginRegistry
) -> None:
    """It is told where a task is not found."""

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
    """Whatever a driver gives; secrets of the configuration, of inputs, of the environment."""
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


ROOTS = {
    "inputs": {
        "n": 5,
        "s": "open door",
        "l": ["a"],
        "d": {"k-1": {"x": [1, [2, 3]]}},
        "none": None,
    },
    "step": {"rows": [{"name": "x"}]},
}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("${inputs.n}", 5),
        ("<${inputs.n}>", "<5>"),
        ("${inputs.d.k-1.x[1][0]}", 2),
        ("${inputs.d['k-1'].x[-1]}", [2, 3]),
        ("${step.rows[0].name}", "x"),
        ("${inputs.zzz:-no ne}", "no ne"),
        ("${inputs.none:-x}", "x"),
        ("${inputs.none}", None),
        ("$${inputs.n} costs $5", "${inputs.n} costs $5"),
        (["${inputs.n}", {"a": "${inputs.l}"}], [5, {"a": ["a"]}]),
        ("${env.FLOWLANG_TEST_X}", "from env"),
    ],
)
def test_references_are_resolved(text: Any, value: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whole ones keep their type."""
    monkeypatch.setenv("FLOWLANG_TEST_X", "from env")
    assert resolved(text, ROOTS) == value


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("${inputs.m}", "'inputs' has n, s, l, d, none, and no 'm'"),
        ("${inputs.s.upper}", "'s' is str, and no 'upper'"),
        ("${inputs.__class__}", "and no '__class__'"),
        ("${inputs.l[3]}", "'l' has 1 items, none with number 3"),
        ("${step.rows.append}", "'rows' is list, and no 'append'"),
        ("${env.NO_SUCH_VARIABLE}", "environment variable 'NO_SUCH_VARIABLE' not found"),
        ("${inputs.n + 1}", "' + 1' is no name"),
        ("${[0]}", "'[0]' is no name"),
    ],
)
def test_a_reference_to_nothing_is_told(text: str, said: str) -> None:
    """With what there is; no attribute of an object can be reached."""
    with pytest.raises(FlowExecutionError) as caught:
        resolved(text, ROOTS)
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("condition", "truth"),
    [
        ("${inputs.n} == 5", True),
        ("${inputs.n} == '5.0'", True),
        ("${inputs.n}>4", True),
        ("${inputs.n} >= 6 or ${inputs.s} == open door", True),
        ("${inputs.s} == 'open door' and ${inputs.n} < 5", False),
        ("not ${inputs.none}", True),
        ("not (${inputs.n} == 5 or 1 == 2)", False),
        ("a in ${inputs.l}", True),
        ("b not in ${inputs.l}", True),
        ("${inputs.none} == null", True),
        ("${inputs.l}", True),
        ("true != false", True),
        ("1 == 2 or 1 == 1 and 2 == 3", False),
        ({"any": ["${inputs.n} == 1", {"all": [True, "${inputs.n} == 5"]}]}, True),
        ({"none": ["${inputs.n} == 1", "${inputs.n} == 5"]}, False),
        (False, False),
    ],
)
def test_conditions_hold_or_not(condition: Any, truth: bool) -> None:
    """With `and`, `or`, `not`, `in`, brackets, quotes and lists."""
    assert holds(condition, ROOTS) is truth


def test_what_a_reference_stands_for_is_never_read_as_a_condition() -> None:
    """A value with quotes and operators is a value."""
    roots = {"x": "' or '1' == '1"}
    assert holds("${x} == 'safe'", roots) is False
    assert holds("'${x}' == 'safe'", roots) is False


@pytest.mark.parametrize(
    "condition", ["", "${inputs.n} ==", "== 3", "(1 == 1", "1 == 1)", "1 = 1", {"some": []}, "'a"]
)
def test_what_is_no_condition_is_told(condition: Any) -> None:
    """With where it cannot be read any further."""
    with pytest.raises(FlowValidationError, match="condition"):
        holds(condition, ROOTS)


@pytest.mark.parametrize(
    ("given", "waits"),
    [
        (None, [1, 2, 4]),
        ({"max_attempts": 4, "backoff": 3}, [3, 6, 12]),
        ({"delay": 2}, [2, 2, 2]),
        ({"delay_seconds": 2, "backoff": 3}, [2, 6, 18]),
        ({"delay": 2, "backoff": "linear"}, [2, 4, 6]),
        ({"delay": 2, "backoff": "exponential", "max_delay": 5}, [2, 4, 5]),
    ],
)
def test_waits_between_attempts(given: Any, waits: list[float]) -> None:
    """Numbers and names of a backoff."""
    retry = Retry.parse(given)
    assert [retry.wait(attempt) for attempt in range(3)] == waits


def test_jitter_spreads_waits() -> None:
    """By the share that is given, a quarter for `true`."""
    retry = Retry.parse({"delay": 8, "jitter": True})
    waits = {retry.wait(0) for _ in range(20)}
    assert len(waits) > 1
    assert all(6 <= wait <= 10 for wait in waits)


def test_yaml_that_was_read_is_a_flow_as_well() -> None:
    """A mapping in the place of a text."""
    assert Flow.parse(yaml.safe_load(HEAD + "steps: []")).name == "Test"
