"""`python -m devstack.pages.monitoring` writes what `deploy/` has for Prometheus and Grafana, anew.

That is `deploy/grafana/patchcord.json` from the rows of `dashboard_panels.py`, and the table of
alerts in `docs/monitoring.md` from `deploy/prometheus/patchcord.rules.yml`.
"""

import json
import re
from collections.abc import Iterator
from typing import Any

import yaml

from devstack.machine import CHECKOUT
from devstack.pages.dashboard_panels import ROWS, Panel

DASHBOARD = CHECKOUT / "deploy/grafana/patchcord.json"
RULES = CHECKOUT / "deploy/prometheus/patchcord.rules.yml"
PAGE = CHECKOUT / "docs/monitoring.md"
TABLE = re.compile(r"(?<=<!-- alerts -->\n).*?(?=<!-- end of alerts -->)", re.DOTALL)
WIDTH, HEIGHT = 24, 8
SOURCE = {"type": "prometheus", "uid": "${datasource}"}


def dashboard() -> str:
    """The text of the dashboard's file."""
    document = {
        "uid": "patchcord",
        "title": "Patchcord",
        "tags": ["patchcord"],
        "schemaVersion": 39,
        "version": 1,
        "editable": True,
        "graphTooltip": 1,
        "refresh": "30s",
        "time": {"from": "now-3h", "to": "now"},
        "templating": {"list": list(_variables())},
        "panels": list(_panels()),
    }
    return json.dumps(document, indent=1) + "\n"


def _variables() -> Iterator[dict[str, Any]]:
    yield {"name": "datasource", "type": "datasource", "query": "prometheus", "label": "Source"}
    query = "label_values(patchcord_joined, job)"
    yield {
        "name": "job",
        "type": "query",
        "label": "Job",
        "datasource": SOURCE,
        "definition": query,
        "query": {"query": query, "refId": "job"},
        "refresh": 2,
        "includeAll": True,
        "multi": True,
        "current": {"text": "All", "value": "$__all"},
    }


def _panels() -> Iterator[dict[str, Any]]:
    number, top = 0, 0
    for title, panels in ROWS:
        number += 1
        place = {"h": 1, "w": WIDTH, "x": 0, "y": top}
        yield {"id": number, "type": "row", "title": title, "gridPos": place, "panels": []}
        top, left = top + 1, 0
        for panel in panels:
            number += 1
            if left + panel.width > WIDTH:
                top, left = top + HEIGHT, 0
            place = {"h": HEIGHT, "w": panel.width, "x": left, "y": top}
            yield {"id": number, "gridPos": place, **_panel(panel)}
            left += panel.width
        top += HEIGHT


def _panel(panel: Panel) -> dict[str, Any]:
    targets = [
        {
            "refId": chr(ord("A") + index),
            "datasource": SOURCE,
            "expr": query,
            "legendFormat": legend,
        }
        for index, (query, legend) in enumerate(panel.queries)
    ]
    return {
        "type": panel.kind,
        "title": panel.title,
        "description": panel.description,
        "datasource": SOURCE,
        "fieldConfig": {"defaults": {"unit": panel.unit, "min": 0}, "overrides": []},
        "targets": targets,
    }


def page(text: str) -> str:
    """The page with its table made anew."""
    groups = yaml.safe_load(RULES.read_text(encoding="utf-8"))["groups"]
    rows = [_alert(rule) for group in groups for rule in group["rules"]]
    head = "| alert | severity | fires when | command |\n|---|---|---|---|\n"
    return TABLE.sub(lambda _: head + "".join(rows), text)


def _alert(rule: dict[str, Any]) -> str:
    notes = rule["annotations"]
    summary = re.sub(r"{{ \$labels\.(\w+) }}", r"*\1*", notes["summary"])
    summary = summary.replace("{{ $value | humanizePercentage }}", "*n* %")
    when = f"{summary.replace('{{ $value }}', '*n*')}. {notes['description']}"
    cells = (f"`{rule['alert']}`", rule["labels"]["severity"], when, f"`{notes['runbook']}`")
    return f"| {' | '.join(cells)} |\n"


if __name__ == "__main__":
    DASHBOARD.write_text(dashboard(), encoding="utf-8")
    PAGE.write_text(page(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
