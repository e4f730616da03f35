"""One line of the checklist, and the report of all of them."""

import shutil
import textwrap
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, Literal, NamedTuple

import orjson

type Level = Literal["ok", "note", "warn", "stop"]
type Clean = Callable[[str], str]

LEVELS: tuple[Level, ...] = ("stop", "warn", "note", "ok")
"""The most severe first: `stop` keeps the service from starting, or loses vCons."""
WIDEST, INDENT = 110, 6


class Finding(NamedTuple):
    """What was looked at, what will differ here, and a command or a line of configuration."""

    area: str
    level: Level
    subject: str
    differs: str
    remedy: str = ""


def may_move(findings: Sequence[Finding]) -> bool:
    """True if no finding is `stop`."""
    return all(finding.level != "stop" for finding in findings)


def as_json(findings: Sequence[Finding], clean: Clean) -> str:
    """`{"ok", "counts", "findings": [{"area", "level", "subject", "differs", "remedy"}]}`."""
    report: dict[str, Any] = {
        "ok": may_move(findings),
        "counts": _counts(findings),
        "findings": [_cleaned(each, clean)._asdict() for each in findings],
    }
    return orjson.dumps(report, option=orjson.OPT_INDENT_2).decode() + "\n"


def as_text(findings: Sequence[Finding], clean: Clean) -> str:
    """The findings of each area, the most severe first, wrapped to the terminal's width."""
    width = min(shutil.get_terminal_size((WIDEST, 0)).columns, WIDEST)
    lines: list[str] = []
    for area in dict.fromkeys(finding.area for finding in findings):
        lines += ["", area.upper()]
        of_area = [finding for finding in findings if finding.area == area]
        for finding in sorted(of_area, key=lambda each: LEVELS.index(each.level)):
            lines += _lines(_cleaned(finding, clean), width)
    counts = ", ".join(f"{count} {level}" for level, count in _counts(findings).items())
    verdict = "nothing stops the move" if may_move(findings) else "mend each stop first"
    return "\n".join([*lines, "", f"{counts}: {verdict}"]).lstrip("\n") + "\n"


def _counts(findings: Sequence[Finding]) -> dict[str, int]:
    counts = Counter(finding.level for finding in findings)
    return {level: counts[level] for level in LEVELS}


def _cleaned(finding: Finding, clean: Clean) -> Finding:
    """Without secrets, and with each text on one line: subjects may come from Redis."""
    texts = (" ".join(clean(text).split()) for text in finding[2:])
    return Finding(finding.area, finding.level, *(_printable(text) for text in texts))


def _printable(text: str) -> str:
    shown = (each if each.isprintable() else ascii(each)[1:-1] for each in text)
    return "".join(shown).encode("utf-8", "backslashreplace").decode()


def _lines(finding: Finding, width: int) -> list[str]:
    first = f"{finding.level:<{INDENT}}{finding.subject}: {finding.differs}"
    space = " " * INDENT
    lines = textwrap.wrap(first, width, subsequent_indent=space, break_on_hyphens=False)
    if finding.remedy:
        arrow = f"{space}-> {finding.remedy}"
        lines += textwrap.wrap(
            arrow, width, subsequent_indent=f"{space}   ", break_on_hyphens=False
        )
    return lines
