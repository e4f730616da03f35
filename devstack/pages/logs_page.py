"""`python -m devstack.pages.logs_page` writes docs/logs.md from the code and `logs.yml`."""

import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from string import ascii_letters
from typing import cast

import yaml

from devstack.pages.log_calls import LEVELS, LogCall, log_calls

PAGE = Path(__file__).parents[2] / "docs" / "logs.md"
ADVICE = Path(__file__).with_name("logs.yml")
LOWEST = "WARNING"

INTRODUCTION = """\
# Log lines and what to do

Every line that the service writes at WARNING and above, by its message. `%s` stands for a value.
The fields are those of the line itself; a line that belongs to a request also has `ref` and
`action`, one that belongs to a run `run`, `chain` and `vcon`. *Traceback* means that the line
carries one. The room is the folder of the file that writes it. [Logs](operations.md#logs) says
where lines go and how they look.

This page is written by `python -m devstack.pages.logs_page` from the code and
`devstack/pages/logs.yml`.
"""
PARTS = (
    ("Errors", ("CRITICAL", "ERROR"), "Something was lost, refused or given up, or soon will be."),
    ("Warnings", ("WARNING",), "The service goes on by itself; many of the same are worth a look."),
)
HEAD = "| message | fields | room | what to do |\n|---|---|---|---|"


class MissingAdviceError(Exception):
    """A line without a text in `logs.yml`, or a text without a line; the message names each."""


@dataclass(frozen=True, slots=True)
class Line:
    """One message with all the places in the code that write it."""

    key: str
    message: str
    calls: tuple[LogCall, ...]

    @property
    def level(self) -> str:
        """The highest level that it may have."""
        return max((level for call in self.calls for level in call.levels), key=LEVELS.index)

    @property
    def levels(self) -> list[str]:
        """Its levels at or above WARNING, the highest first."""
        found = {level for call in self.calls for level in call.levels}
        return [level for level in reversed(LEVELS) if level in found and is_listed(level)]

    @property
    def fields(self) -> list[str]:
        """The names of its fields at all places."""
        return list(dict.fromkeys(name for call in self.calls for name in call.fields))

    @property
    def has_traceback(self) -> bool:
        """Whether any place logs a traceback."""
        return any(call.has_traceback for call in self.calls)

    @property
    def rooms(self) -> list[str]:
        """The folders of the places."""
        return list(dict.fromkeys(call.room for call in self.calls))


def is_listed(level: str) -> bool:
    """Whether the page lists lines of this level."""
    return LEVELS.index(level) >= LEVELS.index(LOWEST)


def key_of(call: LogCall) -> str:
    """Its key in `logs.yml`: the message, with the room if the message has values only."""
    words = call.message.replace("%s", "").replace("%r", "").replace("%d", "")
    says_something = call.is_literal and any(each in ascii_letters for each in words)
    return call.message if says_something else f"{call.message} ({call.room})"


def lines_of(calls: Iterable[LogCall]) -> list[Line]:
    """The lines on the page, in alphabetical order."""
    found: dict[str, list[LogCall]] = {}
    for call in calls:
        if call.is_at_least(LOWEST):
            found.setdefault(key_of(call), []).append(call)
    lines = [Line(key, places[0].message, tuple(places)) for key, places in found.items()]
    return sorted(lines, key=lambda line: line.key.lower())


def advice() -> dict[str, str]:
    """The advice in `logs.yml`, by key."""
    return cast("dict[str, str]", yaml.safe_load(ADVICE.read_text(encoding="utf-8")))


def check(lines: Sequence[Line], texts: Mapping[str, str]) -> None:
    """Compare the code with the texts.

    Raises:
        MissingAdviceError: if a line has no text, or a text no line.
    """
    keys = {line.key for line in lines}
    missing = [
        f"no text for {line.key!r}, written at {', '.join(call.place for call in line.calls)}"
        for line in lines
        if line.key not in texts
    ]
    unused = [f"no line of the code has the message {key!r}" for key in texts if key not in keys]
    if missing or unused:
        raise MissingAdviceError("\n".join([f"{ADVICE.name}:", *missing, *unused]))


def page(calls: Sequence[LogCall] | None = None, texts: Mapping[str, str] | None = None) -> str:
    """The content of the page.

    Raises:
        MissingAdviceError: as `check`.
    """
    lines = lines_of(log_calls() if calls is None else calls)
    texts = advice() if texts is None else texts
    check(lines, texts)
    tables = (
        f"\n## {title}\n{words}\n\n{HEAD}\n"
        + "".join(f"{_row(line, texts[line.key])}\n" for line in lines if line.level in levels)
        for title, levels, words in PARTS
    )
    return INTRODUCTION + "".join(tables)


def _row(line: Line, text: str) -> str:
    fields = [f"`{name}`" for name in line.fields] + ["*traceback*"] * line.has_traceback
    level = "" if len(line.levels) == 1 and line.level != "CRITICAL" else _spoken(line.levels)
    cells = (_code(line.message) + level, ", ".join(fields), _rooms(line), text.strip())
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


def _spoken(levels: Sequence[str]) -> str:
    return f" ({' or '.join(levels)})"


def _rooms(line: Line) -> str:
    return ", ".join(f"`{room}`" for room in line.rooms)


def _code(text: str) -> str:
    """A code span, also for a text with backticks."""
    return f"`` {text} ``" if "`" in text else f"`{text}`"


def main() -> int:
    """Write the page; returns 1 if a text is missing or unused."""
    try:
        text = page()
    except MissingAdviceError as error:
        print(error, file=sys.stderr)
        return 1
    PAGE.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
