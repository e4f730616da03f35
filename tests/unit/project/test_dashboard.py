"""`deploy/grafana/` and docs/monitoring.md: made from the rows and rules that there are now."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any

from devstack.pages import monitoring
from devstack.servers.prometheus import promtool
from tests.integration.support.missing import missing
from tests.unit.project.promql_names import unknown_names

PANELS: list[dict[str, Any]] = json.loads(monitoring.DASHBOARD.read_text())["panels"]
QUERIES = {
    f"{panel['title']}: {target['expr']}": target["expr"]
    for panel in PANELS
    for target in panel.get("targets", ())
}


def test_the_files_are_current() -> None:
    """They are what `python -m devstack.pages.monitoring` would write now."""
    assert monitoring.DASHBOARD.read_text() == monitoring.dashboard()
    text = monitoring.PAGE.read_text()
    assert text == monitoring.page(text)


def test_each_panel_asks_for_what_is_measured() -> None:
    """Its metrics and labels are those of the service."""
    assert {name: unknown_names(query) for name, query in QUERIES.items()} == {
        name: set() for name in QUERIES
    }


def test_prometheus_understands_each_query(tmp_path: Path) -> None:
    """With values in the place of Grafana's variables."""
    tool = promtool() or missing("there is no promtool here")
    rules = [
        {"record": f"panel:{number}", "expr": re.sub(r"\$\w+", "5m", query)}
        for number, query in enumerate(QUERIES.values())
    ]
    (tmp_path / "rules.yml").write_text(json.dumps({"groups": [{"name": "a", "rules": rules}]}))
    command = [tool, "check", "rules", tmp_path / "rules.yml"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_no_panel_lies_on_another() -> None:
    """Each has its place, a number of its own, and words."""
    places = [
        (x, y)
        for place in (panel["gridPos"] for panel in PANELS)
        for x in range(place["x"], place["x"] + place["w"])
        for y in range(place["y"], place["y"] + place["h"])
    ]
    assert len(set(places)) == len(places)
    assert max(x for x, _ in places) < monitoring.WIDTH
    assert len({panel["id"] for panel in PANELS}) == len(PANELS)
    assert all(panel["description"] for panel in PANELS if panel["type"] != "row")
