"""Running steps: tasks and their attempts, timeouts, and the steps that control a flow."""

import asyncio

import pytest

from tests.unit.support.flowlang_plugins import Parcel, Run


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
    """It is passed to the task; beside `task` it is a comment."""

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


async def test_a_failing_task_gives_back_on_every_attempt_and_its_error_is_reported(
    run: Run,
) -> None:
    """Step and cause are reported, secrets are not, and the connection is closed."""
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


async def test_for_each_returns_every_round_and_keeps_the_last(run: Run) -> None:
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
        async with asyncio.timeout(60):
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
    """Reason and outputs are reported, the rest is not run."""
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
