"""What a check has found, as a table for people and as JSON for programs."""

from collections.abc import Callable, Sequence
from typing import Any, Literal, NamedTuple

import orjson

type Outcome = Literal["ok", "failed", "skipped"]
type Clean = Callable[[str], str]

HEADINGS = ("check", "outcome", "seconds", "detail")


class Finding(NamedTuple):
    """One thing that was looked at; `detail` has a line for each problem, or one that says more."""

    check: str
    outcome: Outcome
    seconds: float
    detail: Sequence[str]


def all_well(findings: Sequence[Finding]) -> bool:
    """Whether nothing has failed, and nothing was left out because of it."""
    return all(finding.outcome == "ok" for finding in findings)


def as_table(findings: Sequence[Finding], clean: Clean) -> str:
    """Aligned columns; `clean` takes the secrets out of each detail."""
    rows = [HEADINGS, *(row for finding in findings for row in _rows(finding, clean))]
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEADINGS) - 1)]
    lines = ("  ".join(_padded(row, widths)).rstrip() for row in rows)
    return "\n".join(lines) + "\n"


def as_json(findings: Sequence[Finding], clean: Clean) -> str:
    """`{"ok": ..., "checks": [{"check", "outcome", "seconds", "detail": [...]}]}`."""
    checks: list[dict[str, Any]] = [
        finding._asdict() | {"detail": [clean(line) for line in finding.detail]}
        for finding in findings
    ]
    told = {"ok": all_well(findings), "checks": checks}
    return orjson.dumps(told, option=orjson.OPT_INDENT_2).decode() + "\n"


def _rows(finding: Finding, clean: Clean) -> list[tuple[str, ...]]:
    first, *more = [_one_line(clean(line)) for line in finding.detail] or [""]
    seconds = "" if finding.outcome == "skipped" else f"{finding.seconds:.2f}"
    return [
        (finding.check, finding.outcome, seconds, first),
        *(("", "", "", line) for line in more),
    ]


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _padded(row: Sequence[str], widths: Sequence[int]) -> list[str]:
    return [*(cell.ljust(width) for cell, width in zip(row, widths, strict=False)), row[-1]]
