"""Large JSON is read and written in steps, and is the same as read and written at once."""

from __future__ import annotations

import re
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.concurrency import sliced_json

LEAVES = st.sampled_from([None, True, -1, 1.5, "", "a,b", "\\", '"', "ä\u2028", "x" * 40])


def deeper(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Lists and objects of these."""
    return st.lists(inner, max_size=5) | st.dictionaries(
        LEAVES.filter(str.__instancecheck__), inner
    )


VALUES = st.recursive(LEAVES, deeper, max_leaves=20)


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Steps of a few bytes."""
    for name, value in {"STEP": 20, "FEW": 0, "ELEMENTS": 2}.items():
        monkeypatch.setattr(sliced_json, name, value)


@settings(deadline=None)
@given(value=VALUES)
def test_any_value(value: Any) -> None:
    """The same value, out of bytes or a text, and the same text."""
    text = orjson.dumps(value)
    assert sliced_json.loads(text) == sliced_json.loads(text.decode()) == value
    document = {"members": value, "list": [value] * 5}
    assert sliced_json.dumps(document) == orjson.dumps(document)


WRONG = ("", "[1,2", "[1,]", "[1,2]x", '["\\ud800",1]', '["\udcff"]', "[" * 2000)


@pytest.mark.parametrize("text", WRONG)
def test_what_cannot_be_read(text: str) -> None:
    """The errors are the parser's own."""
    with pytest.raises(orjson.JSONDecodeError) as expected:
        orjson.loads(text)
    with pytest.raises(orjson.JSONDecodeError, match=re.escape(str(expected.value))):
        sliced_json.loads(text)


def test_a_name_that_is_there_twice() -> None:
    """The last one counts."""
    assert sliced_json.loads('{"a":1,"a":2,"b":[1,2,3,4,5,6,7]}') == {"a": 2, "b": [*range(1, 8)]}


@pytest.mark.parametrize("document", [{1: [1, 2, 3]}, {"a": [1, 2, object()]}, {"a": object()}])
def test_what_cannot_be_written(document: dict[Any, Any]) -> None:
    """It is refused as by the writer itself."""
    with pytest.raises(orjson.JSONEncodeError):
        sliced_json.dumps(document)


def test_no_step_is_long(monkeypatch: pytest.MonkeyPatch) -> None:
    """The parser gets no more than a step of a large document, however its values are nested."""
    given, loads = list[int](), orjson.loads

    def seen(text: Any) -> Any:
        given.append(len(text))
        return loads(text)

    words = [{"word": "a", "at": n} for n in range(50)]
    document = {"analysis": [{"body": {"words": words}}, {"n": 1}], "dialog": words}
    monkeypatch.setattr(orjson, "loads", seen)
    monkeypatch.setattr(sliced_json, "STEP", 100)
    monkeypatch.setattr(sliced_json, "LEVELS", 6)
    assert sliced_json.loads(orjson.dumps(document)) == document
    assert max(given) <= 200
