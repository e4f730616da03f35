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
STYLES = {"pass": "green", "fail": "bold red", "not applicable": "dim"}


def counts(checked: Iterable[Checked]) -> Counter[str]:
    """How many rules have each outcome."""
    return Counter(each.verdict.outcome for each in checked)


def is_conformant(checked: Iterable[Checked]) -> bool:
    """Whether no rule failed."""
    return not counts(checked)["fail"]


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
    return json.dumps(
        {
            "schemaVersion": 1,
            "label": "patchcord plugin",
            "message": f"{found['pass']} of {tried} rules",
            "color": "brightgreen" if is_conformant(checked) else "red",
        }
    )
