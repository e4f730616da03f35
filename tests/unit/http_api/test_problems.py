"""Problems of a request in Pydantic's form, with no more of its values than is needed."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import orjson
import pytest
from pydantic import TypeAdapter, ValidationError

from http_api.errors import LONGEST_INPUT, MOST_PROBLEMS, ParametersError

UUIDS = TypeAdapter(list[UUID])


def problems_of(value: Any) -> list[dict[str, Any]]:
    """What is wrong with a list of uuids."""
    with pytest.raises(ValidationError) as raised:
        UUIDS.validate_python(value)
    return ParametersError.of(raised.value, "body").details


@pytest.mark.parametrize("value", ["x" * 10_000, [["x"] * 10_000], {"a": {"b": "x" * 10_000}}])
def test_a_long_value_is_not_repeated(value: Any) -> None:
    """A text is cut, an object or a list is left out."""
    [problem] = problems_of(value)
    assert len(orjson.dumps(problem)) < LONGEST_INPUT + 300


def test_a_short_value_is_repeated() -> None:
    """As vcon-server does, for the caller to find it."""
    assert [each["input"] for each in problems_of([{"a": 1}, "x"])] == [{"a": 1}, "x"]


def test_many_problems_are_not_all_listed() -> None:
    """The answer to a bad list stays small."""
    problems = problems_of([["x" * 1000]] * 1000)
    assert len(problems) == MOST_PROBLEMS
    assert len(orjson.dumps(problems)) < MOST_PROBLEMS * (LONGEST_INPUT + 300)
