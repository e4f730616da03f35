"""Describes fields of a JSON schema for the tables of the pages."""

import json
from collections.abc import Mapping
from typing import Any

BOUNDS = {
    "minimum": "at least {}",
    "exclusiveMinimum": "more than {}",
    "maximum": "at most {}",
    "exclusiveMaximum": "less than {}",
}
KINDS = {
    "string": "text",
    "array": "list",
    "object": "mapping",
    "number": "number",
    "integer": "integer",
    "boolean": "`true`, `false`",
}

type Schema = Mapping[str, Any]


def values(field: Schema, kinds: Mapping[str, str] = KINDS) -> str:
    """The allowed values; `kinds` are the names of JSON's types."""
    parts = [part for part in field.get("anyOf", [field]) if part.get("type") != "null"]
    return " or ".join(dict.fromkeys(_one(part, kinds) for part in parts))


def plain(value: object) -> str:
    """A number without trailing zeros; a boolean as in JSON."""
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:g}" if isinstance(value, float) else str(value)


def as_yaml(value: object) -> str:
    """A default in YAML, on one line."""
    return json.dumps(value, ensure_ascii=False)


def _one(field: Schema, kinds: Mapping[str, str]) -> str:
    if "enum" in field:
        return ", ".join(f"`{value}`" for value in field["enum"])
    if "const" in field:
        return f"`{field['const']}`"
    if field.get("format") == "password":
        return "text, secret"
    kind = kinds.get(field.get("type", ""), "anything")
    bounds = [words.format(plain(field[key])) for key, words in BOUNDS.items() if key in field]
    return " ".join([kind, " and ".join(bounds)]).strip()
