"""What a command of the operator is: words, arguments, one operation, and how its result is shown.

A command has no logic: it turns words into the operation's arguments, and the result into tables
of plain values, which `output.py` draws.
"""

import argparse
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from pydantic import BaseModel


class Table(NamedTuple):
    """A table; a cell is a text, a number, or None for nothing. Numbers are right-aligned."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str | int | float | None]]


type Shown = Table | str
"""A table, or a line of text."""


class Followed(NamedTuple):
    """What one read of a command that follows has added, and how it goes on."""

    items: Sequence[BaseModel]
    """With `--json`: a line each."""
    shown: Sequence[Shown]
    """The same without `--json`."""
    arguments: Mapping[str, Any] | None
    """Of the next read; None: the command ends."""
    at_once: bool
    """The next read has something already."""


def _no_arguments(_parser: argparse.ArgumentParser) -> None:
    """Add nothing."""


def _nothing(_words: argparse.Namespace) -> Mapping[str, Any]:
    return {}


def _well(_result: Any) -> bool:
    return True


def _as_is(_words: argparse.Namespace) -> str:
    return ""


@dataclass(frozen=True, slots=True)
class CliCommand:
    """`python entrypoint.py WORDS [arguments]`, which performs one operation."""

    words: tuple[str, ...]
    operation: str
    summary: str
    """One line for `--help`."""
    example: str
    """The arguments of an example after `entrypoint.py`, shown by `--help` and run by a test."""
    render: Callable[[Any], Sequence[Shown]]
    """From the operation's result to what is shown."""
    add_arguments: Callable[[argparse.ArgumentParser], None] = _no_arguments
    arguments: Callable[[argparse.Namespace], Mapping[str, Any]] = _nothing
    """From the parsed words to the operation's arguments; may raise InvalidError."""
    well: Callable[[Any], bool] = _well
    """Whether the exit code is 0; else 1. For results such as a red status or a partial failure."""
    question: Callable[[argparse.Namespace], str] = _as_is
    """What is asked before a change; "" asks only whether to do what the words say."""
    changes: bool = False
    """The operation changes something: `--yes` and `--reason` are added."""
    can_watch: bool = False
    """`--watch` repeats it until interrupted."""
    follow: Callable[[argparse.Namespace], Callable[[Any], Followed]] | None = None
    """It reads on until interrupted: makes what takes each result, which may keep a state."""

    @property
    def name(self) -> str:
        """The words in one text."""
        return " ".join(self.words)
