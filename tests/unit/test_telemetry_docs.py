"""The page about OpenTelemetry names what the service reads and what it makes."""

import re
from pathlib import Path

from core import metrics
from core.settings_telemetry import TelemetrySettings

DOCS = Path(__file__).parents[2] / "docs"


def test_every_setting_stands_in_the_page() -> None:
    """Whatever the service itself reads of OpenTelemetry's variables."""
    page = (DOCS / "telemetry.md").read_text()
    missing = [name for name in TelemetrySettings.model_fields if name.upper() not in page]
    assert missing == []


def test_queries_are_about_metrics_that_exist() -> None:
    """Every name in a query of the metrics page is a metric, with the suffix of its kind."""
    suffixes = {"counter": ("_total",), "histogram": ("_bucket", "_sum", "_count"), "gauge": ("",)}
    samples = {
        f"{family.name}{suffix}"
        for family in metrics.REGISTRY.collect()
        for suffix in suffixes[family.type]
    }
    _, _, queries = (DOCS / "metrics.md").read_text().partition("## Questions")
    named = set(re.findall(r"patchcord_\w+", queries.partition("\n## ")[0]))
    assert named
    assert named <= samples
    watched = set(re.findall(r"patchcord_\w+", (DOCS / "operations.md").read_text()))
    assert watched <= samples
