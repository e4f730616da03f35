"""docs/moving-from-vcon-server.md: its table of settings is that of `check --vcon-server`."""

import re

from app.vcon_server.findings import LEVELS
from app.vcon_server.variables import VARIABLES
from tests.unit.support.source_files import ROOT

PAGE = (ROOT / "docs" / "moving-from-vcon-server.md").read_text(encoding="utf-8")


def test_the_table_has_every_variable() -> None:
    """In the same order, with the same words."""
    rows = re.findall(r"^\| `([A-Z0-9_]+)` \| ([^|]+) \| (.*) \|$", PAGE, re.MULTILINE)
    assert rows == [
        (each.name, each.verdict, "; ".join(filter(None, (each.here, each.remedy))))
        for each in VARIABLES
    ]


def test_the_levels_are_explained() -> None:
    """Each level of a finding has a row, the most severe first."""
    assert re.findall(r"^\| `(stop|warn|note|ok)` \|", PAGE, re.MULTILINE) == list(LEVELS)
