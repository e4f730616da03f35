"""Draws results: tables and lines with rich, or JSON. Texts never hold control characters."""

import os
import sys
from collections.abc import Sequence
from typing import TextIO

import orjson
from pydantic import BaseModel
from rich import box
from rich.console import Console
from rich.table import Table as RichTable
from rich.text import Text

from app.operator_cli.command import Shown, Table
from core.errors import UnavailableError
from core.observability.logs import one_line, without_secrets

LONGEST_CELL = 2_000
"""Characters of a cell that are shown."""
UNFOLDED = 10_000
"""Characters of a line in a pipe or file: as many as the row has, so that grep finds it."""


class Output:
    """What one command writes: results to standard output, progress and errors to the other."""

    def __init__(self, *, as_json: bool) -> None:
        self._as_json = as_json
        self._console = Console(highlight=False, width=_width(sys.stdout))
        self._notes = Console(stderr=True, highlight=False, width=_width(sys.stderr))

    def result(self, result: BaseModel, shown: Sequence[Shown]) -> None:
        """Write the result: as JSON if that was asked for, else what is shown of it."""
        try:
            self._result(result, shown)
        except BrokenPipeError:  # what reads it has ended, such as `head`
            self._console.on_broken_pipe()
        except OSError as error:
            _discard_output()
            msg = f"standard output cannot be written: {error.strerror}"
            raise UnavailableError(msg) from None

    def _result(self, result: BaseModel, shown: Sequence[Shown]) -> None:
        if self._as_json:
            data = result.model_dump(mode="json")
            sys.stdout.write(orjson.dumps(data, option=orjson.OPT_INDENT_2).decode() + "\n")
            sys.stdout.flush()
            return
        for each in shown:
            if isinstance(each, Table):
                self._table(each)
            else:
                self._console.print(_text(each))

    def _table(self, table: Table) -> None:
        if table.title:  # rich folds a title to the width of its table
            self._console.print(_text(table.title), style="bold")
        self._console.print(_drawn(table))

    def clear(self) -> None:
        """Clear a terminal before the next round of `--watch`."""
        if not self._as_json:
            self._console.clear()

    def progress(self, text: str) -> None:
        """Write a line of progress to standard error."""
        self._notes.print(_text(text), style="dim")

    def failed(self, error: str, kind: str) -> None:
        """Write an error: what was wrong, where, and what to do."""
        self._notes.print(_text(f"error: {without_secrets(error)}"), style="bold red")
        if self._as_json:
            failure = {"error": without_secrets(error), "kind": kind}
            sys.stdout.write(orjson.dumps(failure).decode() + "\n")


def _discard_output() -> None:
    """Leave nothing that is written at the exit, and fails again."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)


def _width(stream: TextIO) -> int | None:
    return None if stream.isatty() else UNFOLDED


def _drawn(table: Table) -> RichTable:
    drawn = RichTable(box=box.SIMPLE_HEAD, caption_justify="left")
    for at, column in enumerate(table.columns):
        numbers = any(isinstance(row[at], int | float) for row in table.rows)
        drawn.add_column(column, justify="right" if numbers else "left", overflow="fold")
    for row in table.rows:
        drawn.add_row(*(_cell(value) for value in row))
    if not table.rows:
        drawn.caption = "  none"
    return drawn


def _cell(value: str | float | None) -> Text:
    if value is None:
        return Text("")
    if isinstance(value, str):
        return _text(value)
    return Text(f"{value:,.3f}".rstrip("0").rstrip(".") if value % 1 else f"{value:,.0f}")


def _text(value: str) -> Text:
    lines = (one_line(line) for line in value[:LONGEST_CELL].split("\n"))
    return Text("\n".join(lines))
