"""The body of an analysis or attachment with `encoding: json`: as JSON text, and as the value.

Inside, such a body is text. Readers since core-04 take the value itself. A text is opened for them
only if closing the value again gives the same JSON, with any store or reader between: numbers
that a double holds exactly, no name twice in one object, nothing that Postgres or UTF-8 cannot
hold. A JSON string and `null` are never opened: as values they could not be told from JSON text and
from a body that is absent.
"""

import json
from decimal import Decimal
from typing import Any

import orjson

from pipeline.document_values import storable
from schemas.vcon import Entry

_VALUES = (dict, list, bool, int, float)
_OPEN = (None, "", "none", "json")
"""The encodings that a value may come with; another one says that it is something else."""

_EXACT = 2**53 - 1
"""The largest integer that every reader of JSON holds (RFC 7493)."""


def with_text_body(entry: Entry) -> Entry:
    """The entry with its body as JSON text, if that is a value; the same object if it is not."""
    body = entry.get("body")
    if not isinstance(body, _VALUES) or entry.get("encoding") not in _OPEN:
        return entry
    return {**entry, "body": orjson.dumps(body).decode(), "encoding": "json"}


def with_sorted_body(entry: Entry) -> Entry:
    """The entry with the members of its JSON body in order, if the text was made of a value."""
    body = entry.get("body")
    if entry.get("encoding") != "json" or not isinstance(body, str):
        return entry
    try:
        value = orjson.loads(body)
        if orjson.dumps(value).decode() != body:  # such as an integer that was rounded
            return entry
        return {**entry, "body": orjson.dumps(value, option=orjson.OPT_SORT_KEYS).decode()}
    except (ValueError, TypeError):  # no JSON, or nested too deeply to be written
        return entry


def with_open_body(entry: Entry, encoding: str) -> Entry:
    """The entry with its body as the value, under this encoding; the same where text must stay."""
    body = entry.get("body")
    if entry.get("encoding") != "json" or not isinstance(body, str):
        return entry
    try:
        return {**entry, "body": _value(body), "encoding": encoding}
    except (ValueError, RecursionError):
        return entry


def _value(text: str) -> Any:
    """What the text says.

    Raises:
        ValueError: it is no JSON, or closing the value would not give the same.
    """
    value = orjson.loads(text)
    if isinstance(value, dict | list):
        if not storable([[[value]]]):  # as deep as it will lie in the vCon
            raise ValueError("cannot be kept as a value")
        json.loads(text, parse_int=_integer, parse_float=_decimal, object_pairs_hook=_object)
    elif not isinstance(value, _VALUES) or orjson.dumps(value).decode() != text:
        raise ValueError("would be another text")
    elif not isinstance(value, bool):
        _number(text)
    return value


def _number(text: str) -> None:
    _decimal(text) if "." in text or "e" in text else _integer(text)


def _integer(text: str) -> None:
    if text == "-0" or abs(int(text)) > _EXACT:
        raise ValueError("an integer that not every reader holds")


def _decimal(text: str) -> None:
    number = float(text)
    exact = Decimal(text) == Decimal(repr(number)) and abs(number) <= _EXACT
    if not exact or (number == 0 and text.startswith("-")):
        raise ValueError("a number that not every reader holds")


def _object(pairs: list[tuple[str, Any]]) -> None:
    if len({name for name, _ in pairs}) != len(pairs):
        raise ValueError("a name twice in one object")
