"""Draws a table of plain values with rich: as a table where its words fit, else in blocks.

No header, number, id or other word is ever broken to make a table fit: where the terminal is too
narrow for that, each row is a block of lines `column: value`.
"""

from collections.abc import Sequence
from typing import NamedTuple

from rich import box
from rich.cells import cell_len
from rich.console import Group, RenderableType
from rich.table import Table as RichTable
from rich.text import Text

from app.operator_cli.command import Table
from core.observability.logs import one_line

LONGEST_CELL = 2_000
"""Characters of a cell that are shown."""
LEAST_FOLDED = 16
"""A text is folded at its words, but not into lines shorter than this."""


class _Width(NamedTuple):
    least: int
    most: int


def drawn(table: Table, width: int) -> RenderableType:
    """The table, without its title, for a terminal of this width."""
    cells = [[_cell(value) for value in row] for row in table.rows]
    columns = [
        _width_of(column, [row[at].plain for row in cells])
        for at, column in enumerate(table.columns)
    ]
    widths = _shared(columns, width - 3 * len(columns) - 1)  # rich's padding, and edges
    if widths is None:
        return _blocks(table.columns, cells)
    drawn = RichTable(box=box.SIMPLE_HEAD, caption_justify="left")
    for at, (column, share) in enumerate(zip(table.columns, widths, strict=True)):
        numbers = any(isinstance(row[at], int | float) for row in table.rows)
        justify = "right" if numbers else "left"
        drawn.add_column(column, justify=justify, overflow="fold", width=share)  # type: ignore[arg-type]
    for row in cells:
        drawn.add_row(*row)
    if not cells:
        drawn.caption = "  none"
    return drawn


def _width_of(header: str, cells: Sequence[str]) -> _Width:
    lines = [line for cell in cells for line in cell.split("\n")]
    words = [word for text in (header, *lines) for word in text.split()]
    longest = max((cell_len(line) for line in lines), default=0)
    word = max((cell_len(word) for word in words), default=0)
    return _Width(max(word, min(longest, LEAST_FOLDED)), max(word, longest, cell_len(header)))


def _shared(columns: Sequence[_Width], width: int) -> list[int] | None:
    """The width of each column, the narrow ones whole; None if the words do not fit."""
    left = width - sum(each.least for each in columns)
    if left < 0:
        return None
    shares = [each.least for each in columns]
    wanting = sorted(range(len(columns)), key=lambda at: columns[at].most - columns[at].least)
    for done, at in enumerate(wanting):
        more = min(columns[at].most - columns[at].least, left // (len(columns) - done))
        shares[at] += more
        left -= more
    return shares


def _blocks(columns: Sequence[str], rows: Sequence[Sequence[Text]]) -> RenderableType:
    blocks: list[RenderableType] = []
    for row in rows:
        block = RichTable.grid(padding=(0, 1, 0, 0))
        block.add_column(no_wrap=True)
        block.add_column(overflow="fold")
        for column, cell in zip(columns, row, strict=True):
            if cell.plain:
                block.add_row(Text(f"  {column}:" if column else ""), cell)
        blocks += ["", block]
    return Group(*(blocks or ["  none"]), "")


def _cell(value: str | float | None) -> Text:
    if value is None:
        return Text("")
    if isinstance(value, str):
        return text_of(value)
    return Text(f"{value:,.3f}".rstrip("0").rstrip(".") if value % 1 else f"{value:,.0f}")


def text_of(value: str) -> Text:
    """A text without control characters and markup, bounded; its lines stay."""
    lines = (one_line(line) for line in value[:LONGEST_CELL].split("\n"))
    return Text("\n".join(lines))
