"""Draws results: tables and lines with rich, or JSON. Texts never hold control characters."""

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TextIO

import orjson
from pydantic import BaseModel
from rich.console import Console

from app.operator_cli.command import Shown, Table
from app.operator_cli.drawing import drawn, text_of
from core.errors import UnavailableError
from core.observability.logs import without_secrets

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
        with self._written():
            if self._as_json:
                data = result.model_dump(mode="json")
                sys.stdout.write(orjson.dumps(data, option=orjson.OPT_INDENT_2).decode() + "\n")
                sys.stdout.flush()
            else:
                self._show(shown)

    def added(self, items: Sequence[BaseModel], shown: Sequence[Shown]) -> None:
        """Write what a command that follows has found: as a line of JSON each, or what is shown."""
        with self._written():
            if self._as_json:
                lines = [orjson.dumps(each.model_dump(mode="json")).decode() for each in items]
                sys.stdout.writelines(f"{line}\n" for line in lines)
                sys.stdout.flush()
            else:
                self._show(shown)

    @contextmanager
    def _written(self) -> Iterator[None]:
        try:
            yield
        except BrokenPipeError:  # what reads it has ended, such as `head`
            self._console.on_broken_pipe()
        except OSError as error:
            _discard_output()
            msg = f"standard output cannot be written: {error.strerror}"
            raise UnavailableError(msg) from None

    def _show(self, shown: Sequence[Shown]) -> None:
        for each in shown:
            if isinstance(each, Table):
                self._table(each)
            else:
                self._console.print(text_of(each))

    def _table(self, table: Table) -> None:
        if table.title:  # rich folds a title to the width of its table
            self._console.print(text_of(table.title), style="bold")
        self._console.print(drawn(table, self._console.width))

    def clear(self) -> None:
        """Clear a terminal before the next round of `--watch`."""
        if not self._as_json:
            self._console.clear()

    def progress(self, text: str) -> None:
        """Write a line of progress to standard error."""
        self._notes.print(text_of(text), style="dim")

    def failed(self, error: str, kind: str) -> None:
        """Write an error: what was wrong, where, and what to do."""
        self._notes.print(text_of(f"error: {without_secrets(error)}"), style="bold red")
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
