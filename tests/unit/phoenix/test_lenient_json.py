"""Values that not every JSON reader takes are named, and the others are read as ever."""

import json

import pytest

from core.phoenix.lenient_json import Unreadable, loads

NUMBER = "not a finite number, or an integer of more than 64 bits"
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
        (str(2**64), f"fields: {NUMBER}"),
        (f'{{"a": [{-(2**63) - 1}]}}', f"fields.a[0]: {NUMBER}"),
        (f"[1,{10**25} ]", f"fields[1]: {NUMBER}"),
        ("[1e309]", f"fields[0]: {NUMBER}"),
        ("-1e400", f"fields: {NUMBER}"),
        ("Infinity", f"fields: {NUMBER}"),
        (f"[{'[' * 400}{10**400}{']' * 400}]", f"fields{'[0]' * 401}"[:200] + f": {NUMBER}"),
    ],
)
def test_a_value_that_cannot_be_kept_is_named(fields: str, why: str) -> None:
    """The other members of the request are kept, so that it can be answered."""
    assert loads(message(fields))[4] == {
        "action": "A",
        "fields": Unreadable(why),
        "response_ref": "r",
    }


@pytest.mark.parametrize(
    "text",
    [
        message(f'{{"a": [{2**64 - 1}, {-(2**63)}, 1e300, 1e308, -1.8e19, 1{"0" * 20}.5]}}'),
        message(f'["{"1" * 30}", 0.{"3" * 30}]'),
        message(r'["\ud83d\udeb2", 1e308]'),
        "[1, 2]",
        '"x"',
    ],
)
def test_valid_json_is_parsed(text: str) -> None:
    """As it is."""
    assert loads(text) == json.loads(text)


def deep(levels: int, opening: str = "[", closing: str = "]") -> str:
    """A value nested so deeply."""
    return opening * levels + "1" + closing * levels


TOO_DEEP = Unreadable("fields: nested more than 254 levels deep")


@pytest.mark.parametrize("levels", [1_025, 2_000, 3_000, 200_000])
@pytest.mark.parametrize("kind", [("[", "]"), ('{"a]}": ', "}"), ('["\\"]",', "]")])
def test_a_value_nested_too_deeply_is_named(levels: int, kind: tuple[str, str]) -> None:
    """At any depth the other members are there, among them the ref that an answer needs."""
    assert loads(message(deep(levels, *kind)))[4] == {
        "action": "A",
        "fields": TOO_DEEP,
        "response_ref": "r",
    }


@pytest.mark.parametrize("levels", [3_000, 100_000])
def test_only_the_member_that_is_too_deep_is_lost(levels: int) -> None:
    """In any order of the members, in both versions, beside any other member."""
    payload = (
        f'{{"response_ref": "r", "fields": {deep(levels)}, "beside": [{{"x": "]"}}, []],'
        f' "action": {deep(levels)}, "more": {{}}}}'
    )
    expected = {
        "response_ref": "r",
        "fields": TOO_DEEP,
        "beside": [{"x": "]"}, []],
        "action": Unreadable("action: nested more than 254 levels deep"),
        "more": {},
    }
    assert loads(f'[null, null, "service", "request", {payload}]')[4] == expected
    v1 = f'{{"event": "request", "payload": {payload}, "ref": null, "topic": "service"}}'
    assert loads(v1)["payload"] == expected


@pytest.mark.parametrize("text", ["", "{", "[" * 100_000, b"\xff", deep(100_000)[:-1]])
def test_invalid_json_is_an_error(text: str | bytes) -> None:
    """The quick reader's own."""
    with pytest.raises(json.JSONDecodeError):
        loads(text)
