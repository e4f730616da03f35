"""SQL statements built from names and records, for each dialect.

Values are always parameters. Names cannot be, so they are checked and quoted; a quoted name is
case-sensitive.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count, groupby
from typing import Any

type Parameters = Sequence[Any] | Mapping[str, Any] | None
type Record = Mapping[str, Any]

_NAME = re.compile(r"[\w$](?:[\w$ -]*[\w$])?")


@dataclass(frozen=True)
class Dialect:
    """How a database writes names and placeholders."""

    quote: str
    placeholder: Callable[[int], str]
    """The placeholder of the nth parameter, the first being 1."""
    longest: int | None = None
    """How long a name may be, as `length` measures it; PostgreSQL cuts longer ones in silence."""
    length: Callable[[str], int] = len

    def name(self, text: object, what: str = "column") -> str:
        """A quoted name. Raises ValueError for an invalid one."""
        if not isinstance(text, str) or not _NAME.fullmatch(text):
            raise ValueError(
                f"{text!r} is no name of a {what}: letters, digits, _ and $ are allowed,"
                " and blanks and hyphens between them"
            )
        if self.longest is not None and self.length(text) > self.longest:
            raise ValueError(f"'{text}' is too long for the name of a {what}")
        return f"{self.quote}{text}{self.quote}"

    def table(self, text: object) -> str:
        """A table's name, or `schema.table`, quoted. Raises ValueError."""
        if not isinstance(text, str) or text.count(".") > 1:
            raise ValueError(f"{text!r} is no name of a table: name it `table` or `schema.table`")
        return ".".join(self.name(part, "table") for part in text.split("."))

    def names(self, columns: Sequence[str]) -> str:
        """Columns, as they stand in an INSERT."""
        return ", ".join(map(self.name, columns))


POSTGRES = Dialect('"', lambda n: f"${n}", 63, lambda text: len(text.encode()))
MYSQL = Dialect("`", lambda _: "%s", 64)
SQLITE = Dialect('"', lambda _: "?")


@dataclass(frozen=True)
class Statement:
    """SQL and the values of its placeholders."""

    sql: str
    parameters: Parameters = None
    rows: list[list[Any]] | None = None
    """Parameters for as many executions as there are lists."""
    wants_rows: bool = False
    """Whether its rows are returned, up to the limits of the connection."""


@dataclass(frozen=True)
class Done:
    """The result of a statement: its rows, and how many it affected."""

    rows: list[dict[str, Any]]
    affected: int
    status: str = ""
    """The server's command tag: `UPDATE 2`."""
    told: Mapping[str, Any] = field(default_factory=dict)
    """Outputs to add to the rows: `truncated` if they were cut."""


def distinct(names: Iterable[str]) -> list[str]:
    """Distinct column names: a second `id` becomes `id_2`, so that no value is lost."""
    told: list[str] = []
    for name in names:
        numbered = (name if n == 1 else f"{name}_{n}" for n in count(1))
        told.append(next(each for each in numbered if each not in told))
    return told


def insertions(dialect: Dialect, table: str, records: Sequence[Record]) -> Iterator[Statement]:
    """INSERTs of all records in their order; a column that one lacks gets the column's default.

    Raises ValueError for a wrong name and a record without fields.
    """
    into = dialect.table(table)
    for columns, alike in _by_columns(records):
        marks = ", ".join(dialect.placeholder(n) for n in range(1, len(columns) + 1))
        sql = f"INSERT INTO {into} ({dialect.names(columns)}) VALUES ({marks})"  # noqa: S608 - quoted
        yield Statement(sql, rows=[[record[name] for name in columns] for record in alike])


def updates(
    dialect: Dialect, table: str, records: Sequence[Record], key: str
) -> Iterator[Statement]:
    """UPDATEs that set what each record has besides its key, in the rows with that key.

    Raises ValueError for a wrong name, a record without the key and one with nothing but the key.
    """
    into, where = dialect.table(table), dialect.name(key)
    for columns, alike in _by_columns(records):
        changed = [name for name in columns if name != key]
        for record in alike:
            if record.get(key) is None or not changed:
                raise ValueError(f"every record needs '{key}' and a field to set, {record} has not")
        numbers = count(1)
        to = ", ".join(
            f"{dialect.name(name)} = {dialect.placeholder(next(numbers))}" for name in changed
        )
        sql = f"UPDATE {into} SET {to} WHERE {where} = {dialect.placeholder(next(numbers))}"  # noqa: S608 - quoted
        yield Statement(sql, rows=[[record[each] for each in (*changed, key)] for record in alike])


def _by_columns(records: Sequence[Record]) -> Iterator[tuple[list[str], list[Record]]]:
    """Groups of successive records with the same fields in any order, each with its fields."""
    for record in records:
        if not isinstance(record, Mapping) or not record:
            raise ValueError(f"{record!r} is no record: it must be a mapping of fields to values")
    for columns, alike in groupby(records, key=lambda record: sorted(record, key=str)):
        yield columns, list(alike)


def batches[Each](given: object, size: int, what: str) -> list[list[Each]]:
    """The records of a list, `size` at a time. Raises ValueError."""
    if not isinstance(given, list | tuple):
        raise ValueError(f"{what} must be a list of records")  # noqa: TRY004 - a user's input
    if not isinstance(size, int) or isinstance(size, bool) or size < 1:
        raise ValueError(f"batch_size must be a whole number above 0, not {size!r}")
    return [list(given[at : at + size]) for at in range(0, len(given), size)]


def statements(queries: object) -> list[Statement]:
    """Those of a transaction, given as `{query, params}` each. Raises ValueError."""
    if not isinstance(queries, list | tuple) or not queries:
        raise ValueError("queries must be a list of {query, params}")
    for each in queries:
        if not isinstance(each, Mapping) or not each.get("query") or each.keys() - _QUERY:
            raise ValueError(f"a query is given as {{query, params}}, not as {each!r}")
    return [Statement(each["query"], parameters(each.get("params"))) for each in queries]


_QUERY = {"query", "params"}


def parameters(given: object) -> Parameters:
    """The values for placeholders; none where the list is empty. Raises ValueError."""
    if given is not None and not isinstance(given, list | tuple | Mapping):
        raise ValueError(f"params must be a list, not {given!r}")
    return given or None
