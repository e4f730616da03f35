"""Paths, queries and formulas in the form of Airtable's API."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import quote

MOST_AT_ONCE = 10
"""How many records one request may change."""
_PLACEHOLDER = re.compile(r":(\w+)")

type Query = list[tuple[str, str]]


def path(*parts: object) -> str:
    """A path below `/v0/`, each part quoted. Raises ValueError for an empty part, `.` and `..`."""
    for part in parts:
        if not isinstance(part, str) or part in ("", ".", ".."):
            raise ValueError(f"{part!r} is no name or id of a base, table or record")
    return "/v0/" + "/".join(quote(str(part), safe="") for part in parts)


def listing(
    formula: str | None,
    sort: object,
    max_records: int | None,
    page_size: int,
    view: str | None,
    fields: Sequence[str] | None,
) -> Query:
    """The query of a list of records. Raises ValueError."""
    single = {"filterByFormula": formula, "maxRecords": max_records, "view": view}
    query = [(name, str(value)) for name, value in single.items() if value is not None]
    query.append(("pageSize", str(max(1, min(int(page_size), 100)))))
    query += [("fields[]", each) for each in fields or ()]
    for number, (field, direction) in enumerate(_order(sort)):
        query.append((f"sort[{number}][field]", field))
        query.append((f"sort[{number}][direction]", direction))
    return query


def halved(query: Query) -> Query:
    """The same for half as many records a page; empty where there are no fewer."""
    size = int(dict(query).get("pageSize", 1)) // 2
    return [(name, str(size) if name == "pageSize" else each) for name, each in query if size]


def _order(given: object) -> Iterator[tuple[str, str]]:
    pairs = [[given, "asc"]] if isinstance(given, str) else given or []
    for pair in pairs if isinstance(pairs, list | tuple) else [pairs]:
        if not isinstance(pair, list | tuple) or len(pair) != 2 or pair[1] not in ("asc", "desc"):
            raise ValueError(f"sort is given as [[field, asc or desc]], not as {given!r}")
        yield str(pair[0]), pair[1]


def formula(text: str | None, params: Mapping[str, Any] | None) -> str | None:
    """A formula with `:name` replaced by that parameter, quoted: it cannot end its text."""
    if text is None or not params:
        return text
    return _PLACEHOLDER.sub(
        lambda found: _literal(params[found[1]]) if found[1] in params else found[0], text
    )


def _literal(value: Any) -> str:
    if isinstance(value, bool):
        return "TRUE()" if value else "FALSE()"
    if isinstance(value, int | float):
        return str(value)
    text = "" if value is None else str(value)
    for char, escaped in (
        ("\\", "\\\\"),
        ('"', '\\"'),
        ("\n", "\\n"),
        ("\r", "\\r"),
        ("\t", "\\t"),
    ):
        text = text.replace(char, escaped)
    return f'"{text}"'


def at_once(given: object, what: str) -> list[Any]:
    """A list that one request can take; one thing is a list of it. Raises ValueError."""
    listed = [given] if isinstance(given, str | Mapping) else given
    if not isinstance(listed, list | tuple) or not 0 < len(listed) <= MOST_AT_ONCE:
        raise ValueError(f"{what} must be a list of 1 to {MOST_AT_ONCE}")
    return list(listed)


def changes(operation: str, records: list[Any]) -> list[dict[str, Any]]:
    """The records of a batch, as the API takes them. Raises ValueError."""
    needed = {"create": ("fields",), "update": ("id", "fields")}.get(operation)
    if needed is None:
        raise ValueError(f"operation must be create or update, not {operation!r}")
    for each in records:
        if not isinstance(each, Mapping) or any(key not in each for key in needed):
            raise ValueError(
                f"a record to {operation} has {' and '.join(needed)}, {each!r} has not"
            )
    return [{key: each[key] for key in needed} for each in records]
