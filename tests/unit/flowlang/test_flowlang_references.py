"""References, conditions and waits between attempts."""

from typing import Any

import pytest

from flowlang.exceptions import FlowExecutionError, FlowValidationError
from flowlang.language.conditions import holds
from flowlang.language.references import resolved
from flowlang.language.retry import Retry

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
def test_a_reference_to_nothing_is_reported(text: str, said: str) -> None:
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
def test_what_is_no_condition_is_reported(condition: Any) -> None:
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
