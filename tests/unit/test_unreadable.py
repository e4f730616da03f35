"""Values that not every JSON reader takes are named, and the others are read as ever."""

import json

import pytest

from core.unreadable import Unreadable, loads

NUMBER = "not a finite number of at most 64 bits"
HALF = "holds half a surrogate pair, which is no valid Unicode"


def message(fields: str) -> str:
    """A V2 message, as text, with these fields."""
    payload = f'{{"action": "A", "fields": {fields}, "response_ref": "r"}}'
    return f'[null, null, "service", "request", {payload}]'


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        (f'{{"a": [1, {{"b": {10**400}}}]}}', f"fields.a[1].b: {NUMBER}"),
        (f'{{"a": [-{"9" * 5000}]}}', f"fields.a[0]: {NUMBER}"),
        ('{"a": NaN}', f"fields.a: {NUMBER}"),
        ('{"a": -Infinity}', f"fields.a: {NUMBER}"),
        (r'{"a": "x\ud800"}', f"fields.a: {HALF}"),
        (r'{"\udfff": 1}', f"fields: a name: {HALF}"),
        (str(10**400), f"fields: {NUMBER}"),
        (f"[{'[' * 400}{10**400}{']' * 400}]", f"fields{'[0]' * 401}"[:200] + f": {NUMBER}"),
    ],
)
def test_a_value_that_cannot_be_kept_is_named(fields: str, why: str) -> None:
    """And whoever waits for an answer can have one: the other members are there."""
    assert loads(message(fields))[4] == {
        "action": "A",
        "fields": Unreadable(why),
        "response_ref": "r",
    }


@pytest.mark.parametrize("text", [message(f'{{"a": [{2**64 - 1}, 1e300]}}'), "[1, 2]", '"x"'])
def test_what_everybody_reads_is_read(text: str) -> None:
    """As it is."""
    assert loads(text) == json.loads(text)


@pytest.mark.parametrize("text", ["", "{", "[" * 100_000, b"\xff"])
def test_what_nobody_reads_is_an_error(text: str | bytes) -> None:
    """The quick reader's own."""
    with pytest.raises(json.JSONDecodeError):
        loads(text)
