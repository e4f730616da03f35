"""Mistakes in a flow's YAML and in its inputs, found before anything runs."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from flowlang.exceptions import FlowValidationError
from flowlang.language.flow import Flow
from tests.unit.support.flowlang_plugins import HEAD, Parcel, Run


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
def test_mistakes_are_reported_with_their_place(text: str, said: str) -> None:
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
def test_invalid_yaml_is_reported_without_quoting_it(
    tmp_path: Path, text: str, problem: str
) -> None:
    """The place is enough, since the text may be a secret; the folder is not shown."""
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


def test_yaml_that_was_read_is_a_flow_as_well() -> None:
    """A mapping in the place of a text."""
    assert Flow.parse(yaml.safe_load(HEAD + "steps: []")).name == "Test"
