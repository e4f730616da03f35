"""docs/operator.md: every command, in lines that are read, and pages that the console has."""

from __future__ import annotations

import re
import shlex

import pytest

from app.command_line import read
from app.operator_cli.table import COMMANDS
from http_api.console.pages import PAGES
from tests.unit.support.source_files import ROOT

TEXT = (ROOT / "docs" / "operator.md").read_text(encoding="utf-8")
INDEX = TEXT.partition("\n## (a)")[0]
MOST_LINES = 500
LINES = sorted(set(re.findall(r"python entrypoint\.py(?: (?=\S)([^`\n|]*))?", TEXT)))
"""What stands after the program's name, in code, in a sentence or in a table's cell."""
PATHS = sorted(set(re.findall(r"`(/console[^`]*)`", TEXT)))


def words_of(line: str) -> list[str]:
    """The words of a line; a cell of a table ends at two spaces."""
    return shlex.split(line.partition("  ")[0], comments=True)


@pytest.mark.parametrize("line", LINES)
def test_each_line_can_be_read(line: str) -> None:
    """A command with its arguments, as the command line takes them."""
    assert read(words_of(line)).name


def test_each_command_is_on_the_page() -> None:
    """In a line to run, or by its name in code."""
    shown = [words_of(line) for line in LINES]
    shown += [name.split() for name in re.findall(r"`([a-z][^`\n]*)`", TEXT)]
    found = {command.name for command in COMMANDS for words in shown if begins(words, command)}
    assert {command.name for command in COMMANDS} - found == set()


def begins(words: list[str], command: object) -> bool:
    """Whether the words are those of a command, with or without arguments."""
    own = list(command.words)  # type: ignore[attr-defined]
    return words[: len(own)] == own


def test_the_questions_are_answered_in_their_order() -> None:
    """(a) to (o): a row of the index and a heading each, with a command and a page."""
    letters = [chr(code) for code in range(ord("a"), ord("o") + 1)]
    assert re.findall(r"^## \(([a-z])\) ", TEXT, re.MULTILINE) == letters
    rows = re.findall(r"^\| ([a-z]) \| .+ \| `.+` \| `/console.*` \|$", INDEX, re.MULTILINE)
    assert rows == letters
    for section in re.split(r"^## ", TEXT, flags=re.MULTILINE)[1:]:
        title = section.partition("\n")[0]
        assert "/console" in section, f"{title}: names no page of the console"
        assert "python entrypoint.py" in section, f"{title}: shows no command"
    assert TEXT.count("\n") <= MOST_LINES


@pytest.mark.parametrize("path", PATHS)
def test_each_page_is_there(path: str) -> None:
    """Among the pages that a browser can open."""
    assert path in {page.path for page in PAGES if page.method == "GET"}
