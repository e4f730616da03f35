"""SQL that is put together: names quoted and rows grouped, never a value written into a text."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

type Record = Mapping[str, Any]
type Batch = tuple[tuple[str, ...], list[Record]]


@dataclass(frozen=True)
class Dialect:
    """How one database writes names and the places of values."""

    product: str
    quote: str
    placeholder: Callable[[int], str]
    """The place of the n-th value, counted from 1."""

    def name(self, text: object) -> str:
        """A column's name, quoted. Raises ValueError for what can be none."""
        if not isinstance(text, str) or not text or "\0" in text or len(text) > 128:
            raise ValueError(f"{text!r:.80} is no name of a column or table")
        return self.quote + text.replace(self.quote, self.quote * 2) + self.quote

    def table(self, text: object) -> str:
        """A table's name, with or without its schema before a dot, quoted."""
        parts = text.split(".", 1) if isinstance(text, str) else [text]
        return ".".join(self.name(part) for part in parts)

    def insert(self, table: str, columns: Sequence[str]) -> str:
        """One row with these columns."""
        names = ", ".join(map(self.name, columns))
        places = ", ".join(self.placeholder(n) for n in range(1, len(columns) + 1))
        return f"INSERT INTO {self.table(table)} ({names}) VALUES ({places})"  # noqa: S608 - quoted

    def update(self, table: str, columns: Sequence[str], key: str) -> str:
        """These columns of the rows with a key, whose value comes last."""
        sets = [f"{self.name(c)} = {self.placeholder(n)}" for n, c in enumerate(columns, 1)]
        where = f"{self.name(key)} = {self.placeholder(len(columns) + 1)}"
        return f"UPDATE {self.table(table)} SET {', '.join(sets)} WHERE {where}"  # noqa: S608 - quoted


def batches(records: Iterable[Record], size: int) -> Iterator[list[Batch]]:
    """So many records at a time, those with the same columns in a row together.

    Each record counts with its own columns: one that the first does not have is not lost.
    Raises ValueError for what is no record, and for a size below 1.
    """
    if size < 1:
        raise ValueError(f"batch_size: must be 1 or more, not {size}")
    remaining = iter(_checked(records))
    while batch := list(islice(remaining, size)):
        yield _grouped(batch)


def _checked(records: Iterable[Record]) -> Iterator[Record]:
    for place, record in enumerate(records):
        if not isinstance(record, Mapping) or not record:
            raise ValueError(f"record {place}: expected columns with values, got {record!r:.80}")
        yield record


def _grouped(records: list[Record]) -> list[Batch]:
    groups: list[Batch] = []
    for record in records:
        columns = tuple(record)
        if not groups or set(groups[-1][0]) != set(columns):
            groups.append((columns, []))
        groups[-1][1].append(record)
    return groups


def key_of(record: Record, key_field: str) -> Any:
    """The value by which a record's row is found. Raises ValueError when it has none."""
    if record.get(key_field) is None:
        raise ValueError(f"an update has no '{key_field}': {sorted(record)}")
    return record[key_field]
