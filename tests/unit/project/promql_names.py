"""The names in an expression of Prometheus, compared with what the service measures."""

from __future__ import annotations

import re
from functools import cache

from prometheus_client import ProcessCollector

from core.observability.metrics import REGISTRY
from tests.unit.support.source_files import ROOT

TEXT = re.compile(r'"(?:[^"\\]|\\.)*"')
LABELS = re.compile(r"\{([^}]*)\}|\b(?:by|without|on|ignoring)\s*\(([^)]*)\)")
NAME = re.compile(r"\b[a-z_][a-z0-9_:]*\b(?!\s*\()", re.IGNORECASE)
FUNCTION = re.compile(r"\b([a-z_]+)\s*\(")
WORDS = {"and", "or", "unless", "by", "offset", "bool"}
OF_PROMETHEUS = {"up"}
"""Metrics that Prometheus makes of each scrape."""
LABELS_OF_PROMETHEUS = {"job", "instance", "le"}
KINDS = {"counter": ("_total",), "histogram": ("_bucket", "_sum", "_count"), "gauge": ("",)}


@cache
def measured() -> dict[str, set[str]]:
    """The labels of each series of `/metrics`, by name; docs/metrics.md has the labels, as a test
    compares with the declarations.
    """
    page = (ROOT / "docs/metrics.md").read_text()
    rows = re.findall(r"^\| `(patchcord_\w+)` \| (\w+) \| (.*?) ?\|", page, re.MULTILINE)
    # other tests of this process may have registered metrics of their own
    assert {name for name, _, _ in rows} <= {family.name for family in REGISTRY.collect()}
    return {
        f"{name}{end}": set(re.findall(r"\w+", labels))
        for name, kind, labels in rows
        for end in KINDS[kind]
    } | {each.name: set() for each in ProcessCollector(registry=None).collect()}


def unknown_names(expression: str) -> set[str]:
    """Metrics and labels in it that there are not."""
    text = TEXT.sub("", expression)
    groups = [" ".join(found) for found in LABELS.findall(text)]
    labels = {name for group in groups for name in NAME.findall(group)}
    rest = re.sub(r"\[[^\]]*\]|\$\w+", "", LABELS.sub("", text))
    metrics = set(NAME.findall(rest)) - WORDS
    known = measured()
    named = [known[name] for name in metrics if name in known]
    allowed = LABELS_OF_PROMETHEUS.union(*named)
    return (metrics - known.keys() - OF_PROMETHEUS) | (labels - allowed)
