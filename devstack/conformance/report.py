"""What the kit prints: a table, JSON, a badge."""

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from devstack.conformance.cases import Case
from devstack.conformance.kit import Checked

WIDTH = 140
"""Columns of the table in files and pipes."""
NOT_ALL_TRIED = 3
"""The exit code of a check that ran out of time before its last rule."""
STYLES = {"pass": "green", "fail": "bold red", "not applicable": "dim", "not tried": "yellow"}


def counts(checked: Iterable[Checked]) -> Counter[str]:
    """How many rules have each outcome."""
    return Counter(each.verdict.outcome for each in checked)


def is_conformant(checked: Iterable[Checked]) -> bool:
    """Whether each rule that concerns the plugin was tried, and none failed."""
    found = counts(checked)
    return not found["fail"] and not found["not tried"]


def exit_code(checked: Iterable[Checked]) -> int:
    """1 if a rule failed, else `NOT_ALL_TRIED` if one was not tried."""
    found = counts(checked)
    if found["fail"]:
        return 1
    return NOT_ALL_TRIED if found["not tried"] else 0


def table(case: Case, checked: Sequence[Checked]) -> Table:
    """A row for each rule: its verdict, what was seen, and the line to change."""
    made = Table(title=f"{case.kind} {case.module}", title_justify="left", expand=True)
    made.add_column("rule", no_wrap=True)
    made.add_column("verdict", no_wrap=True)
    made.add_column("what was seen", ratio=3)
    made.add_column("line to change", ratio=2, overflow="fold")
    for each in checked:
        outcome = each.verdict.outcome
        verdict = Text(outcome, STYLES[outcome])
        made.add_row(each.rule.name, verdict, Text(each.verdict.seen), Text(each.verdict.where))
    return made


def summary(case: Case, checked: Sequence[Checked]) -> str:
    """One line."""
    found, seconds = counts(checked), sum(each.seconds for each in checked)
    numbers = ", ".join(f"{found[name]} {name}" for name in STYLES)
    return f"{case.module}: {numbers}, in {seconds:.1f} s"


def print_table(case: Case, checked: Sequence[Checked]) -> None:
    """On standard output."""
    console = Console()
    if not console.is_terminal:
        console.width = WIDTH
    console.print(table(case, checked))
    console.print(summary(case, checked), highlight=False)


def as_json(case: Case, checked: Sequence[Checked]) -> dict[str, Any]:
    """All that the table has, for programs."""
    return {
        "module": case.module,
        "kind": case.kind,
        "conformant": is_conformant(checked),
        "counts": {name: counts(checked)[name] for name in STYLES},
        "rules": [
            {"rule": each.rule.name, "asks": each.rule.asks, **each.verdict.as_json()}
            | {"seconds": round(each.seconds, 3)}
            for each in checked
        ],
    }


def badge(checked: Sequence[Checked]) -> str:
    """JSON as badge services read it from a URL (schema version 1)."""
    found = counts(checked)
    tried = found["pass"] + found["fail"]
    untried = f", {found['not tried']} not tried" if found["not tried"] else ""
    good = "yellow" if untried else "brightgreen"
    return json.dumps(
        {
            "schemaVersion": 1,
            "label": "patchcord plugin",
            "message": f"{found['pass']} of {tried} rules{untried}",
            "color": "red" if found["fail"] else good,
        }
    )
